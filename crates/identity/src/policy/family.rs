//! What the kinds of policies ask of their statements, each in its own words.
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language"; Amazon S3 User Guide, "Policies and permissions".

use super::malformed::is_iam_path;
use super::statement::{Listed, Written};
use super::{Family, MalformedPolicy};

/// Checks what depends on the kind of policy; the order of checks is AWS's, for the first one that fails is told.
pub(super) fn check(family: Family, statements: &[Written]) -> Result<(), MalformedPolicy> {
    match family {
        Family::Identity | Family::Session => check_identity(statements),
        Family::Trust => check_trust(statements),
        Family::Resource("s3") => check_bucket(statements),
        Family::Resource(_) => check_resource(statements),
    }
}

fn check_identity(statements: &[Written]) -> Result<(), MalformedPolicy> {
    if statements.iter().any(|statement| statement.principals.is_some()) {
        return Err(MalformedPolicy::PrincipalInIdentityPolicy);
    }
    if statements.iter().any(|statement| !statement.is_effect_exact) {
        return Err(MalformedPolicy::Legacy);
    }
    let resources = || statements.iter().filter_map(|statement| statement.resources.as_ref());
    let broken =
        resources().flat_map(|listed| &listed.texts).map(|text| check_arn(text)).find(Result::is_err);
    if broken == Some(Err(MalformedPolicy::Legacy)) {
        return Err(MalformedPolicy::Legacy);
    }
    check_sids(statements)?;
    if statements.iter().any(|statement| is_empty(statement.actions.as_ref())) {
        return Err(MalformedPolicy::NoActions);
    }
    if statements.iter().any(|statement| is_empty(statement.resources.as_ref())) {
        check_actions(statements)?;
        return Err(MalformedPolicy::NoResources);
    }
    broken.unwrap_or(Ok(()))?;
    check_actions(statements)
}

fn check_trust(statements: &[Written]) -> Result<(), MalformedPolicy> {
    for statement in statements {
        if let Some(resources) = &statement.resources {
            return Err(MalformedPolicy::Prohibited(if resources.is_inverted {
                "NotResource"
            } else {
                "Resource"
            }));
        }
        if statement.principals.is_none() {
            return Err(MalformedPolicy::Missing("Principal"));
        }
        if !statement.is_effect_exact {
            return Err(MalformedPolicy::Syntax);
        }
        let Some(actions) = statement.actions.as_ref().filter(|actions| !actions.texts.is_empty()) else {
            return Err(MalformedPolicy::Missing("Action"));
        };
        let is_of_sts = |action: &String| *action == "*" || action.to_ascii_lowercase().starts_with("sts:");
        if !actions.is_inverted && !actions.texts.iter().all(is_of_sts) {
            return Err(MalformedPolicy::TrustAction);
        }
    }
    check_sids(statements)
}

fn check_bucket(statements: &[Written]) -> Result<(), MalformedPolicy> {
    for statement in statements {
        if !statement.is_effect_exact {
            return Err(MalformedPolicy::Syntax);
        }
        if statement.principals.is_none() {
            return Err(MalformedPolicy::Missing("Principal"));
        }
        let actions = statement.actions.as_ref().ok_or(MalformedPolicy::Missing("Action"))?;
        let is_of_s3 = |action: &String| *action == "*" || action.to_ascii_lowercase().starts_with("s3:");
        if actions.texts.is_empty() || !actions.texts.iter().all(is_of_s3) {
            return Err(MalformedPolicy::InvalidAction);
        }
        let resources = statement.resources.as_ref().ok_or(MalformedPolicy::Missing("Resource"))?;
        let is_bucket = |text: &String| *text == "*" || text.starts_with("arn:aws:s3:::");
        if resources.texts.is_empty() || !resources.texts.iter().all(is_bucket) {
            return Err(MalformedPolicy::InvalidResource);
        }
    }
    Ok(())
}

fn check_resource(statements: &[Written]) -> Result<(), MalformedPolicy> {
    for statement in statements {
        if !statement.is_effect_exact {
            return Err(MalformedPolicy::Syntax);
        }
        if statement.principals.is_none() {
            return Err(MalformedPolicy::Missing("Principal"));
        }
        if is_empty(statement.actions.as_ref()) {
            return Err(MalformedPolicy::Missing("Action"));
        }
    }
    check_actions(statements)
}

fn is_empty(listed: Option<&Listed>) -> bool {
    listed.is_none_or(|listed| listed.texts.is_empty())
}

fn check_sids(statements: &[Written]) -> Result<(), MalformedPolicy> {
    let mut sids: Vec<&str> = statements.iter().filter_map(|statement| statement.sid.as_deref()).collect();
    sids.retain(|sid| !sid.is_empty());
    if sids.iter().any(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(MalformedPolicy::SidForm);
    }
    sids.sort_unstable();
    if sids.windows(2).any(|pair| pair[0] == pair[1]) { Err(MalformedPolicy::SidTwice) } else { Ok(()) }
}

fn check_actions(statements: &[Written]) -> Result<(), MalformedPolicy> {
    let actions = statements.iter().filter_map(|statement| statement.actions.as_ref());
    for action in actions.flat_map(|listed| &listed.texts) {
        let (vendor, more) = match action.split_once(':') {
            None if action == "*" => continue,
            None => return Err(MalformedPolicy::ActionWithoutVendor),
            Some((_, more)) if more.contains(':') => return Err(MalformedPolicy::ActionColons),
            Some(parts) => parts,
        };
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if vendor != "*" && (vendor.is_empty() || !vendor.bytes().all(is_letter)) {
            return Err(MalformedPolicy::Vendor(vendor.to_owned()));
        }
        if more.is_empty() {
            return Err(MalformedPolicy::ActionWithoutVendor);
        }
    }
    Ok(())
}

/// Whether a resource is `*` or an ARN as IAM takes them.
fn check_arn(text: &str) -> Result<(), MalformedPolicy> {
    if text == "*" {
        return Ok(());
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, partition, rest @ ..] = parts.as_slice() else {
        return Err(MalformedPolicy::ResourceForm(text.to_owned()));
    };
    if *partition != "aws" {
        let filled = rest.iter().map(|part| if rest == [""] { "*" } else { *part });
        let filled: Vec<&str> = filled.chain(["*"; 4]).take(rest.len().max(4)).collect();
        let resource = format!("arn:{partition}:{}", filled.join(":"));
        return Err(MalformedPolicy::Partition { partition: (*partition).to_owned(), resource });
    }
    let Some((service, rest)) = rest.split_first() else { return Err(MalformedPolicy::ResourceVendor) };
    if service.is_empty() || service.contains(['*', '?']) {
        return Err(MalformedPolicy::ResourceVendor);
    }
    let region = rest.first().copied().unwrap_or_default();
    match *service {
        "iam" if !region.is_empty() => return Err(MalformedPolicy::IamRegion(text.to_owned())),
        "s3" if !region.is_empty()
            && !rest.get(2).is_some_and(|resource| resource.contains("accesspoint")) =>
        {
            return Err(MalformedPolicy::S3Region(text.to_owned()));
        }
        _ => {}
    }
    let Some(resource) = rest.get(2) else { return Err(MalformedPolicy::Legacy) };
    let is_told = resource.split('/').next().is_some_and(|kind| !kind.contains(['*', '?', '$']));
    if *service == "iam" && is_told && *resource != "root" && !is_iam_path(resource) {
        return Err(MalformedPolicy::IamPath);
    }
    Ok(())
}
