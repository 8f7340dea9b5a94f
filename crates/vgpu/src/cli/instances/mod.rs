//! `vgpu instances`: creates and keeps the declared vGPUs of a host.

mod args;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::{Diagnostic, Report, Result, WrapErr};
use vgpu_profiles::{Config, file};

use super::output::{self, Form};
use crate::instances::apply::{self, Options};
use crate::instances::declaration::{self, Declaration, Instance, Name, ProfileName};
use crate::instances::profiles::Profiles;
use crate::instances::report::{self, Row};
use crate::instances::request::Request;
use crate::instances::step::Step;
use crate::instances::{attach, check, list, lock, place, plan, remove};

pub use args::Args;
use args::{Apply, Attach, Check, Command, Create, Format, List, Owner, PlanArgs, Remove};

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error("there is no vGPU {0} on this machine now")]
    #[diagnostic(help(
        "`vgpu instances apply` makes what is declared; `vgpu instances plan` says why something cannot be made"
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

/// Prints steps, a line each. The name or the GPU comes first.
fn print_rows(rows: &[Row]) -> Result<()> {
    let width = rows.iter().map(|row| row.subject().len()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|row| format!("{:width$}  {}", row.subject(), row.text)).collect();
    output::print(lines.join("\n"))
}

fn plan(args: &PlanArgs) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let view = args.machine.view()?;
    let wanted = view.wanted(&declaration);
    let plan = plan::plan(view.situation(&wanted));
    let rows = report::planned(&plan, &view.profiles);
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

fn waiting() {
    output::note("another vgpu changes vGPUs: waiting for it");
}

fn apply(args: &Apply) -> Result<()> {
    let wait = Duration::from_secs(args.wait);
    let options = Options { root: &args.machine.root, wait, only: None };
    apply_with(&options, &args.machine.declaration()?, Form::of(args.json))
}

fn apply_with(options: &Options, declaration: &Declaration, form: Form) -> Result<()> {
    let lock = lock::take(options.root, waiting)?;
    let profiles = Profiles::read(options.root, &[]);
    let mut rows = Vec::new();
    let mut printed = Ok(());
    let failures = apply::apply(options, &lock, declaration, &mut |event| {
        let row = report::done(&event, &profiles);
        // If nobody reads the output any more, vGPUs are still made.
        if form == Form::Text && printed.is_ok() {
            printed = print_rows(std::slice::from_ref(&row));
        }
        rows.push(row);
    })?;
    printed?;
    if form == Form::Json {
        output::json(&rows)?;
    } else if rows.is_empty() && failures.is_empty() {
        output::note("nothing to do: all that is declared is there");
    }
    report_all(failures)
}

/// Reports all errors except the last. The program ends with that one.
fn report_all<E: Diagnostic + Send + Sync + 'static>(mut errors: Vec<E>) -> Result<()> {
    let Some(last) = errors.pop() else { return Ok(()) };
    for error in errors {
        vgpu_base::terminal::report(&Report::new(error));
    }
    Err(last.into())
}

fn create(args: &Create) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let by_hand = args.profile.as_ref().map(|profile| Instance {
        gpu: args.gpu,
        uuid: args.uuid,
        virtual_function: args.virtual_function,
        parameters: args.parameters.iter().cloned().collect(),
        ..Instance::of(ProfileName::Text(profile.clone()))
    });
    let request = Request::new(&declaration, args.name.clone(), by_hand)?;
    let options = Options { root: &args.machine.root, wait: Duration::ZERO, only: Some(&request) };
    apply_with(&options, &declaration, Form::of(args.json))
}

fn remove(args: &Remove) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let lock = lock::take(&args.machine.root, waiting)?;
    let vgpu = remove::remove(&args.machine.root, &lock, &declaration, &args.name)?;
    let row = report::removed(&args.name, &vgpu);
    if args.json { output::json(&[row]) } else { print_rows(&[row]) }
}

fn attach(args: &Attach) -> Result<()> {
    let declaration = args.machine.declaration()?;
    let vgpu = attach::find(&args.machine.view()?, &declaration, &args.name);
    let vgpu = vgpu.ok_or_else(|| Error::NotThere(args.name.clone()))?;
    let text = match args.format {
        Format::Libvirt => attach::libvirt(&vgpu),
        Format::Qemu => attach::qemu(&args.machine.root, &args.name, &vgpu),
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
    match place::owner_of_device(&args.machine.root, &view, &declaration, &args.device) {
        Some(owner) => output::print(format!("VGPU_USER={}\nVGPU_GROUP={}", owner.user, owner.group)),
        None => Ok(()),
    }
}
