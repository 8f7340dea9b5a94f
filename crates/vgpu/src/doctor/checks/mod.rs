//! The checks, one file per group. CONTRIBUTING.md shows how to add one.

mod functions;
mod guest;
mod instances;
mod licence;
mod machines;
mod modules;
mod options;
mod platform;
mod services;
mod settings;
mod types;

use vgpu_driver::Role;

use super::check::Check;
pub use licence::token_servers;

/// The checks for machines of a role, causes first.
pub fn of(role: Role) -> impl Iterator<Item = &'static Check> {
    let groups: &[&'static [Check]] = match role {
        Role::Host => &[
            platform::CHECKS,
            modules::CHECKS,
            options::CHECKS,
            services::CHECKS,
            functions::CHECKS,
            types::CHECKS,
            instances::CHECKS,
            settings::CHECKS,
            machines::CHECKS,
            licence::OF_HOSTS,
        ],
        Role::Guest => &[guest::CHECKS, guest::MATCH, licence::OF_GUESTS],
    };
    groups.iter().copied().flatten()
}
