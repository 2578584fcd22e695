//! Landlock: a second fence behind the mounts.

use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
};

/// For a snapshot: rules are for files and not for paths, and each environment that is forked from it has a `/tmp` that is
/// not there yet. So the mounts alone say what may be written, until the environment gets its own fence: fences add up.
pub(super) fn build_loose() -> Result<Option<OwnedFd>, Box<dyn std::error::Error>> {
    let all = AccessFs::from_all(ABI::V5);
    let rules = Ruleset::default()
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, all))?;
    Ok(rules.into())
}

/// Read and execute everywhere in the small root, write in `/tmp` and to `/dev` only. `None` where the kernel has no
/// landlock.
pub(in crate::forge) fn build() -> Result<Option<OwnedFd>, Box<dyn std::error::Error>> {
    let abi = ABI::V5;
    let all = AccessFs::from_all(abi);
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let rules = Ruleset::default()
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(abi)))?
        .add_rule(PathBeneath::new(PathFd::new("/tmp")?, all))?
        .add_rule(PathBeneath::new(PathFd::new("/dev")?, AccessFs::from_read(abi) | devices))?
        .add_rule(PathBeneath::new(PathFd::new("/proc")?, AccessFs::from_read(abi) | AccessFs::WriteFile))?;
    Ok(rules.into())
}
