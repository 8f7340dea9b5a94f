//! `vgpu instances`: the vGPUs of a host, declared, made and kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use miette::{Diagnostic, Report, Result, WrapErr};
use serde::Serialize;
use uuid::Uuid;
use vgpu_profiles::{Config, file};

use super::output;
use crate::instances::apply::{self, Event, Options, View};
use crate::instances::declaration::{self, Declaration, Instance, Name, Parameter, ProfileName};
use crate::instances::plan::{self, Plan, Situation, Step, Why};
use crate::instances::profiles::Profiles;
use crate::instances::{attach, check, list, place};
use crate::machine::pci::Address;
use crate::machine::processes::VfioUsers;
use crate::machine::vgpu::{Interface, Vgpu};

/// Have the vGPUs of this host as they are declared: list, plan, apply.
///
/// The declaration is /etc/nvidia/vgpu/instances.json. On NixOS the option hardware.nvidia.vgpu.instances writes it, and
/// nvidia-vgpu-instances.service applies it at every start and switch. Elsewhere write it by hand.
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = r#"The declaration:
  {
    "instances": {
      "office": {
        "profile": "A40-8Q",          NVIDIA's name, or its number
        "gpu": "0000:41:00.0",        else any that has room
        "virtual_function": "...",    else any that is free, then always it
        "uuid": "...",                else one made from the name
        "parameters": { "frame_rate_limiter": false },
        "placement": 6,               vgpu-placement-id
        "user": "...", "group": "kvm" who may open /dev/vfio/N
      }
    },
    "gpus": { "0000:41:00.0": { "mixed_sizes": true } }
  }
All but profile may be left out.

Examples:
  vgpu instances
  vgpu instances plan
  vgpu instances apply
  vgpu instances attach office --format libvirt"#
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Plan(PlanArgs),
    Apply(Apply),
    Create(Create),
    Remove(Remove),
    Attach(Attach),
    Check(Check),
    #[command(hide = true)]
    Owner(Owner),
}

/// Where things are.
#[derive(clap::Args)]
struct Machine {
    /// The declaration
    #[arg(long, value_name = "FILE")]
    declaration: Option<PathBuf>,
    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

impl Machine {
    fn declaration(&self) -> Result<Declaration> {
        let below_root = || self.root.join(declaration::PATH.trim_start_matches('/'));
        Ok(declaration::read(&self.declaration.clone().unwrap_or_else(below_root))?)
    }

    fn view(&self) -> Result<View> {
        View::look(&self.root).wrap_err("cannot look at the vGPUs of this machine")
    }
}

/// List the vGPUs that are declared and those there are.
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    machine: Machine,
    /// Print JSON: an array
    #[arg(long)]
    json: bool,
}

/// Say what apply would do, and why, or why it cannot. Changes nothing.
#[derive(clap::Args)]
struct PlanArgs {
    #[command(flatten)]
    machine: Machine,
    /// Print JSON: an array of steps
    #[arg(long)]
    json: bool,
}

/// Make this machine have what is declared.
///
/// Can be run at any time. What is right stays, and so does what a virtual machine has open or what somebody else made. An
/// instance that cannot be made fails alone, with the reason, and the exit code is 1.
#[derive(clap::Args)]
struct Apply {
    #[command(flatten)]
    machine: Machine,
    /// Wait as long for nvidia-vgpud to tell the kernel the types
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Print JSON: an array of what was done
    #[arg(long)]
    json: bool,
}

/// Make one vGPU now: a declared one, or with --profile one that lasts until the next start.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu instances create office
  vgpu instances create try --profile A40-4Q --gpu 0000:41:00.0
  vgpu instances create try --profile A40-4Q --parameter frame_rate_limiter=0")]
struct Create {
    /// Its name
    name: Name,
    /// NVIDIA's name of the profile, or its number
    #[arg(long)]
    profile: Option<String>,
    /// The physical GPU; any with room if left out
    #[arg(long, value_name = "ADDRESS", requires = "profile")]
    gpu: Option<Address>,
    /// The virtual function; any that is free if left out
    #[arg(long, value_name = "ADDRESS", requires = "profile")]
    virtual_function: Option<Address>,
    /// UUID of the mediated device; made from the name if left out
    #[arg(long, requires = "profile")]
    uuid: Option<Uuid>,
    /// A parameter for the driver; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", requires = "profile", value_parser = parameter)]
    parameters: Vec<(String, Parameter)>,
    #[command(flatten)]
    machine: Machine,
    /// Print JSON: an array of what was done
    #[arg(long)]
    json: bool,
}

fn parameter(text: &str) -> Result<(String, Parameter), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in frame_rate_limiter=0")?;
    Ok((key.to_owned(), Parameter::Text(value.to_owned())))
}

/// Remove one vGPU now. One that is declared comes back with the next apply.
#[derive(clap::Args)]
struct Remove {
    /// Its name
    name: Name,
    #[command(flatten)]
    machine: Machine,
    /// Print JSON: an array of what was done
    #[arg(long)]
    json: bool,
}

/// Print what a virtual machine needs to have the vGPU: XML for libvirt, or arguments for QEMU.
#[derive(clap::Args)]
struct Attach {
    /// Name of the instance
    name: Name,
    /// For what
    #[arg(long, value_enum, default_value = "libvirt")]
    format: Format,
    /// Print JSON: {"format", "text"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// <hostdev> for <devices> of a domain
    Libvirt,
    /// Arguments of qemu-system-x86_64
    Qemu,
}

/// Check a declaration against a driver's vgpuConfig.xml, without the machine. NixOS does so when it builds.
#[derive(clap::Args)]
struct Check {
    /// The declaration
    #[arg(long, value_name = "FILE")]
    declaration: PathBuf,
    /// The driver's vgpuConfig.xml
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write the declaration to this file if it is good
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// For udev: whose a device below /dev/vfio is to be, as VGPU_USER and VGPU_GROUP.
#[derive(clap::Args)]
struct Owner {
    /// 12 for /dev/vfio/12, vfio3 for /dev/vfio/devices/vfio3
    device: String,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error("{0} is not declared")]
    #[diagnostic(help("declare it, or say what it is to be: vgpu instances create {0} --profile PROFILE"))]
    NotDeclared(Name),
    #[error("{0} is declared, and made as it is declared")]
    #[diagnostic(help("leave --profile out, or use another name"))]
    Declared(Name),
    #[error("there is no vGPU {0} on this machine now")]
    #[diagnostic(help(
        "`vgpu instances apply` makes what is declared; `vgpu instances plan` says what stands in the way"
    ))]
    NotThere(Name),
    #[error("{count} of the declared vGPUs cannot be made")]
    #[diagnostic(help("the plan above has the reasons"))]
    Impossible { count: usize },
    #[error("cannot write {}", path.display())]
    #[diagnostic(help("name a file in a directory that you may write to"))]
    Write { path: PathBuf, source: std::io::Error },
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        None => list(&args.list),
        Some(Command::List(args)) => list(&args),
        Some(Command::Plan(args)) => plan(&args),
        Some(Command::Apply(args)) => apply(&args),
        Some(Command::Create(args)) => create(&args),
        Some(Command::Remove(args)) => remove(&args),
        Some(Command::Attach(args)) => attach(&args),
        Some(Command::Check(args)) => check(&args),
        Some(Command::Owner(args)) => owner(&args),
    }
}

fn list(args: &List) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let listed = list::list(&args.machine.view()?, &declaration);
    if args.json {
        return output::json(&listed);
    }
    if listed.is_empty() {
        output::note("no vGPU is declared, and none is there");
        return Ok(());
    }
    let rows = listed.iter().map(|vgpu| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let place = vgpu.virtual_function.or(vgpu.gpu).map(|address| address.to_string());
        let user = vgpu.used_by.as_ref();
        vec![
            or_dash(vgpu.name.as_ref().map(Name::to_string)),
            vgpu.state.name().to_owned(),
            or_dash(vgpu.profile.name.clone().or(vgpu.profile.id.map(|id| format!("nvidia-{id}")))),
            or_dash(place),
            or_dash(user.map(|user| user.vm.clone().unwrap_or_else(|| format!("{} {}", user.command, user.pid)))),
        ]
    });
    output::print(output::table(&["NAME", "STATE", "PROFILE", "WHERE", "USED BY"], rows))
}

/// A step, planned or done, as JSON has it. What does not belong to it is null.
#[derive(Serialize)]
struct Row {
    action: &'static str,
    name: Option<Name>,
    gpu: Option<Address>,
    virtual_function: Option<Address>,
    profile: Option<String>,
    reason: Option<String>,
    #[serde(skip)]
    text: String,
}

impl Row {
    fn of_gpu(action: &'static str, gpu: Address, text: &str) -> Row {
        let text = text.to_owned();
        Row { action, name: None, gpu: Some(gpu), virtual_function: None, profile: None, reason: None, text }
    }

    fn of_name(action: &'static str, name: &Name, text: String) -> Row {
        let name = Some(name.clone());
        Row { action, name, gpu: None, virtual_function: None, profile: None, reason: None, text }
    }

    fn at(self, vgpu: &Vgpu) -> Row {
        let on_gpu = vgpu.interface == Interface::Mdev;
        let function = Some(vgpu.function);
        if on_gpu { Row { gpu: function, ..self } } else { Row { virtual_function: function, ..self } }
    }

    fn because(self, reason: &impl std::fmt::Display) -> Row {
        Row { reason: Some(reason.to_string()), ..self }
    }

    fn subject(&self) -> String {
        self.name.as_ref().map(Name::to_string).or(self.gpu.map(|gpu| gpu.to_string())).unwrap_or_default()
    }
}

/// Prints steps: a line each, the name or the GPU first.
fn print_rows(rows: &[Row]) -> Result<()> {
    let width = rows.iter().map(|row| row.subject().len()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|row| format!("{:width$}  {}", row.subject(), row.text)).collect();
    output::print(lines.join("\n"))
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Undeclared => "no longer declared",
        Why::Changed => "declared as another one now",
    }
}

fn mode(on: bool) -> &'static str {
    if on { "allow several sizes of vGPU" } else { "allow one size of vGPU" }
}

/// What will be done, and what will not. What is right is left out.
fn planned(plan: &Plan, profiles: &Profiles) -> Vec<Row> {
    let functions = plan.functions.iter();
    let mut rows: Vec<Row> =
        functions.map(|gpu| Row::of_gpu("enable-functions", *gpu, "switch on its virtual functions")).collect();
    rows.extend(
        plan.modes
            .iter()
            .map(|(gpu, on)| Row::of_gpu("set-mixed-sizes", *gpu, &format!("{}, unless it does already", mode(*on)))),
    );
    for removal in &plan.removals {
        let text = format!("remove it from {}: {}", removal.vgpu.function, why(removal.why));
        rows.push(Row::of_name("remove", &removal.name, text).at(&removal.vgpu).because(&why(removal.why)));
    }
    for (name, vgpu, in_use) in &plan.kept {
        rows.push(Row::of_name("keep", name, format!("keep: {in_use}")).at(vgpu).because(in_use));
    }
    for (name, step) in &plan.instances {
        rows.extend(planned_step(name, step, profiles));
    }
    rows
}

fn planned_step(name: &Name, step: &Step, profiles: &Profiles) -> Option<Row> {
    Some(match step {
        Step::Nothing(_) => return None,
        Step::Parameters(vgpu, text) => {
            let text = if text.is_empty() { "take back its parameters".to_owned() } else { format!("set {text}") };
            Row::of_name("set-parameters", name, text).at(vgpu)
        }
        Step::Make(make) => {
            let profile = profiles.name(make.type_id);
            let place = match make.function {
                Some(function) => function.to_string(),
                None => format!("a virtual function of {}", make.gpu),
            };
            let row = Row::of_name("create", name, format!("make {profile} on {place}"));
            let virtual_function = make.function.filter(|function| *function != make.gpu);
            Row { gpu: Some(make.gpu), virtual_function, profile: Some(profile), ..row }
        }
        Step::Keep(vgpu, in_use) => Row::of_name("keep", name, format!("keep: {in_use}")).at(vgpu).because(in_use),
        Step::Cannot(reason) => {
            let help = reason.help().map(|help| format!("\n    help: {help}")).unwrap_or_default();
            Row::of_name("cannot", name, format!("cannot be made: {reason}{help}")).because(reason)
        }
    })
}

fn plan(args: &PlanArgs) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let view = args.machine.view()?;
    let wanted = view.wanted(&declaration);
    let plan = plan::plan(view.situation(&wanted));
    let rows = planned(&plan, &view.profiles);
    if args.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        output::note("nothing to do: all that is declared is there");
    } else {
        print_rows(&rows)?;
    }
    if !view.users.complete {
        output::note("only root sees which vGPUs virtual machines have open");
    }
    match plan.instances.values().filter(|step| matches!(step, Step::Cannot(_))).count() {
        0 => Ok(()),
        count => Err(Error::Impossible { count }.into()),
    }
}

/// What was done, in words.
fn done(event: Event, profiles: &Profiles) -> Row {
    match event {
        Event::Functions(gpu) => Row::of_gpu("enable-functions", gpu, "its virtual functions are on"),
        Event::Mode(gpu, on) => Row::of_gpu("set-mixed-sizes", gpu, &format!("now set to {}", mode(on))),
        Event::Made(name, type_id, vgpu) => {
            let profile = profiles.name(type_id);
            let text = format!("made: {profile} on {}", vgpu.function);
            Row { profile: Some(profile), ..Row::of_name("create", &name, text).at(&vgpu) }
        }
        Event::Removed(name, vgpu, reason) => {
            let text = format!("removed from {}: {}", vgpu.function, why(reason));
            Row::of_name("remove", &name, text).at(&vgpu).because(&why(reason))
        }
        Event::Parameters(name, vgpu) => Row::of_name("set-parameters", &name, "parameters set".to_owned()).at(&vgpu),
        Event::Owner(name) => Row::of_name("set-owner", &name, "given to its user and group".to_owned()),
        Event::Kept(name, in_use) => Row::of_name("keep", &name, format!("kept: {in_use}")).because(&in_use),
    }
}

fn waiting() {
    output::note("another vgpu changes vGPUs: waiting for it");
}

fn apply(args: &Apply) -> Result<()> {
    let wait = Duration::from_secs(args.wait);
    let options = Options { root: &args.machine.root, wait, only: None, by_hand: None };
    apply_with(&options, &args.machine.declaration()?, args.json)
}

fn apply_with(options: &Options, declaration: &Declaration, json: bool) -> Result<()> {
    let lock = apply::lock(options.root, waiting)?;
    let profiles = Profiles::look(options.root, &[]);
    let mut rows = Vec::new();
    let mut printed = Ok(());
    let failures = apply::apply(options, &lock, declaration, &mut |event| {
        let row = done(event, &profiles);
        // A reader that went away must not keep vGPUs from being made.
        if !json && printed.is_ok() {
            printed = print_rows(std::slice::from_ref(&row));
        }
        rows.push(row);
    })?;
    printed?;
    if json {
        output::json(&rows)?;
    } else if rows.is_empty() && failures.is_empty() {
        output::note("nothing to do: all that is declared is there");
    }
    report_all(failures)
}

/// Reports all errors but the last, which the program ends with.
fn report_all<E: Diagnostic + Send + Sync + 'static>(mut errors: Vec<E>) -> Result<()> {
    let Some(last) = errors.pop() else { return Ok(()) };
    for error in errors {
        vgpu_base::terminal::report(&Report::new(error));
    }
    Err(last.into())
}

fn create(args: &Create) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let declared = declaration.instances.contains_key(&args.name);
    let by_hand = args.profile.as_ref().map(|profile| Instance {
        gpu: args.gpu,
        uuid: args.uuid,
        virtual_function: args.virtual_function,
        parameters: args.parameters.iter().cloned().collect(),
        ..Instance::of(ProfileName::Text(profile.clone()))
    });
    match (declared, &by_hand) {
        (true, Some(_)) => return Err(Error::Declared(args.name.clone()).into()),
        (false, None) => return Err(Error::NotDeclared(args.name.clone()).into()),
        (false, Some(instance)) => {
            let alone = BTreeMap::from([(args.name.clone(), instance.clone())]);
            Declaration { instances: alone, gpus: BTreeMap::new() }.check()?;
        }
        (true, None) => {}
    }
    let options =
        Options { root: &args.machine.root, wait: Duration::ZERO, only: Some(&args.name), by_hand: by_hand.as_ref() };
    apply_with(&options, &declaration, args.json)
}

fn remove(args: &Remove) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let lock = apply::lock(&args.machine.root, waiting)?;
    let vgpu = apply::remove(&args.machine.root, &lock, &declaration, &args.name)?;
    let row = Row::of_name("remove", &args.name, format!("removed from {}", vgpu.function)).at(&vgpu);
    if args.json { output::json(&[row]) } else { print_rows(&[row]) }
}

fn attach(args: &Attach) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let view = args.machine.view()?;
    let wanted = view.wanted(&declaration);
    let situation = view.situation(&wanted);
    let instance = wanted.instances.get(&args.name);
    let existing = instance.and_then(|instance| situation.existing(&args.name, instance));
    let vgpu = existing.or_else(|| situation.made(&args.name)).ok_or_else(|| Error::NotThere(args.name.clone()))?;
    let text = match args.format {
        Format::Libvirt => attach::libvirt(vgpu),
        Format::Qemu => attach::qemu(&args.machine.root, &args.name, vgpu),
    };
    if args.json {
        output::json(&serde_json::json!({ "format": args.format, "text": text }))
    } else {
        output::print(text)
    }
}

fn check(args: &Check) -> Result<()> {
    let declaration = declaration::read(&args.declaration)?;
    let doing = || format!("cannot check {} against {}", args.declaration.display(), args.config.display());
    let text = file::read(&args.config).wrap_err_with(doing)?;
    let config = Config::parse(&text).wrap_err_with(doing)?;
    report_all(check::check(&declaration, &Profiles::of_config(&config)))?;
    match &args.out {
        Some(out) => write(out, &declaration),
        None => Ok(()),
    }
}

fn write(path: &Path, declaration: &Declaration) -> Result<()> {
    let text = serde_json::to_string_pretty(declaration).map_err(std::io::Error::other);
    let written = text.and_then(|text| fs::write(path, text + "\n"));
    Ok(written.map_err(|source| Error::Write { path: path.to_owned(), source })?)
}

fn owner(args: &Owner) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let view = args.machine.view()?;
    let wanted = view.wanted(&declaration);
    let users = VfioUsers::default();
    let situation = Situation { users: &users, ..view.situation(&wanted) };
    let is_it = |vgpu: &Vgpu| {
        vgpu.iommu_group.is_some_and(|group| group.to_string() == args.device)
            || vgpu.vfio_device.as_deref() == Some(args.device.as_str())
    };
    for (name, instance) in &wanted.instances {
        if situation.existing(name, instance).is_some_and(is_it)
            && let Ok(Some(owner)) = place::owner(&args.machine.root, instance)
        {
            return output::print(format!("VGPU_USER={}\nVGPU_GROUP={}", owner.user, owner.group));
        }
    }
    Ok(())
}
