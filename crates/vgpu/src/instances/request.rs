//! One instance that somebody asks for by name: a declared one, or one that lasts until the next start of the machine.

use std::collections::BTreeMap;

use miette::Diagnostic;

use super::declaration::{self, Declaration, Instance, Name};

/// The one instance that is asked for.
#[derive(Debug)]
pub struct Request {
    pub name: Name,
    /// The instance itself, if it is not declared.
    pub by_hand: Option<Instance>,
}

/// Why an instance cannot be asked for.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error("{0} is not declared")]
    #[diagnostic(help("declare it, or give its profile: vgpu instances create {0} --profile PROFILE"))]
    NotDeclared(Name),
    #[error("{0} is declared, and made as it is declared")]
    #[diagnostic(help("leave --profile out, or use another name"))]
    Declared(Name),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Instance(#[from] declaration::Error),
}

impl Request {
    /// Asks for a declared instance, or for another one `by_hand`.
    ///
    /// # Errors
    /// When it is neither declared nor given by hand, when it is both, or when what is given is not valid.
    pub fn new(declaration: &Declaration, name: Name, by_hand: Option<Instance>) -> Result<Request, Error> {
        match (declaration.instances.contains_key(&name), &by_hand) {
            (true, Some(_)) => return Err(Error::Declared(name)),
            (false, None) => return Err(Error::NotDeclared(name)),
            (false, Some(instance)) => {
                let alone = BTreeMap::from([(name.clone(), instance.clone())]);
                Declaration { instances: alone, gpus: BTreeMap::new() }.check()?;
            }
            (true, None) => {}
        }
        Ok(Request { name, by_hand })
    }
}
