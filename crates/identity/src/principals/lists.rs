//! Pages of lists, and counts.

use lambent_store::{KeyRange, ScanOptions, Txn};

use super::limits;
use crate::{Identity, IdentityError, keys};

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// What the next page starts after; `None` at the end.
    pub marker: Option<String>,
}

/// What is counted as it comes and goes, so that a bound on it costs no scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Users,
    Groups,
    Roles,
    Policies,
}

impl Counted {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Roles => "roles",
            Self::Policies => "policies",
        }
    }

    fn bound(self) -> (&'static str, usize) {
        match self {
            Self::Users => ("UsersPerAccount", limits::USERS_MAX),
            Self::Groups => ("GroupsPerAccount", limits::GROUPS_MAX),
            Self::Roles => ("RolesPerAccount", limits::ROLES_MAX),
            Self::Policies => ("PoliciesPerAccount", limits::POLICIES_MAX),
        }
    }

    /// Counts one more, unless there are as many as may be. Two that come at once may both find room for one.
    pub(crate) async fn one_more(self, txn: &Txn, account: &str) -> Result<(), IdentityError> {
        let (quota, max) = self.bound();
        if count(txn, account, self).await? >= max {
            return Err(IdentityError::Quota { quota, max });
        }
        txn.add(&keys::count(account, self.name()), 1);
        Ok(())
    }

    /// Counts one less.
    pub(crate) fn one_less(self, txn: &Txn, account: &str) {
        txn.add(&keys::count(account, self.name()), -1);
    }
}

/// How many there are.
pub(crate) async fn count(txn: &Txn, account: &str, what: Counted) -> Result<usize, IdentityError> {
    let row = txn.get_snapshot(&keys::count(account, what.name())).await?;
    let count = row.and_then(|row| row.as_ref().try_into().ok().map(i64::from_le_bytes)).unwrap_or_default();
    Ok(usize::try_from(count).unwrap_or_default())
}

impl<T> Listed<T> {
    /// The page of a whole list that comes after `marker`.
    pub fn of(all: Vec<T>, marker: Option<&str>, max: usize, name: impl Fn(&T) -> &str) -> Self {
        let max = max.clamp(1, limits::ITEMS_PER_PAGE_MAX);
        let mut rest: Vec<T> =
            all.into_iter().filter(|item| marker.is_none_or(|marker| name(item) > marker)).collect();
        let is_truncated = rest.len() > max;
        rest.truncate(max);
        let marker = rest.last().filter(|_| is_truncated).map(|last| name(last).to_owned());
        Self { items: rest, marker }
    }
}

impl Identity {
    /// The rows of a range that `read` takes, at most `max` of them; `name` is what a marker says of an item.
    pub(crate) async fn list<T>(
        &self,
        range: KeyRange,
        max: usize,
        read: impl Fn(&[u8]) -> Result<Option<T>, IdentityError>,
        name: impl Fn(&T) -> &str,
    ) -> Result<Listed<T>, IdentityError> {
        let max = max.clamp(1, limits::ITEMS_PER_PAGE_MAX);
        let mut items = Vec::new();
        let mut left = Some(range);
        while let Some(range) = &left {
            let page = self
                .db
                .read(|txn| async move {
                    Ok::<_, IdentityError>(txn.scan(range, ScanOptions::rows(max + 1)).await?)
                })
                .await?;
            for (_, row) in &page.rows {
                let Some(item) = read(row)? else { continue };
                if items.len() == max {
                    let marker = items.last().map(|last| name(last).to_owned());
                    return Ok(Listed { items, marker });
                }
                items.push(item);
            }
            left = range.rest(&page, false);
        }
        Ok(Listed { items, marker: None })
    }

    /// How many rows a range has.
    pub(crate) async fn count_rows(&self, range: KeyRange) -> Result<usize, IdentityError> {
        let mut count = 0;
        let mut left = Some(range);
        while let Some(range) = &left {
            let options = ScanOptions::rows(limits::ITEMS_PER_PAGE_MAX).keys_only();
            let page = self
                .db
                .read(|txn| async move { Ok::<_, IdentityError>(txn.scan(range, options).await?) })
                .await?;
            count += page.rows.len();
            left = range.rest(&page, false);
        }
        Ok(count)
    }
}
