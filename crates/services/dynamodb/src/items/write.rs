//! A write of one item: what a request asks for, alone, in a batch, in a transaction or in a statement.

use std::borrow::Cow;

use lambent_expressions::{Condition, Invalid, Item, MAX_NESTING, Update, item_bytes, nesting};
use lambent_model_dynamodb::errors::{conditional_check_failed_exception, duplicate_item_exception};
use lambent_wire::ApiError;

use super::checks::{self, KeyIn};
use super::document;
use crate::DynamoError;
use crate::error::validation;
use crate::keys::ItemKey;
use crate::table::Table;

/// The most bytes of an item. Source: Developer Guide, Quotas.
pub(crate) const ITEM_BYTES_MAX: usize = 400 * 1024;

/// A write that was read from a request, and checked as far as that goes without its table.
#[derive(Debug)]
pub(crate) struct ItemWrite {
    pub(crate) action: Action,
    pub(crate) condition: Option<Condition>,
    /// Whether a condition that is not met is told with the item.
    pub(crate) tells_old: bool,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Action {
    Put(Item),
    /// Like a put, but only where there is no item yet.
    Insert(Item),
    /// By its key. An update that says nothing makes sure that the item is there.
    Update(Item, Option<Update>),
    /// By its key.
    Delete(Item),
    /// Nothing: the item of this key is only looked at.
    Check(Item),
}

/// Why a write is not done.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Invalid(Invalid),
    /// There is an item already.
    Duplicate,
    /// The condition is not met; with the item, if that was asked for and there is one.
    Condition(Option<Item>),
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// What AWS says of an item that is there already.
pub(crate) const DUPLICATE: &str = "Duplicate primary key exists in table";
/// What AWS says of a condition that is not met.
pub(crate) const CONDITION_FAILED: &str = "The conditional request failed";

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(invalid) => validation(invalid.0),
            Refusal::Duplicate => duplicate_item_exception(DUPLICATE),
            Refusal::Condition(old) => {
                let error = conditional_check_failed_exception(CONDITION_FAILED);
                match old {
                    // With the item, AWS's message begins with a capital letter.
                    Some(old) => error.message_in("Message").with_detail("Item", document::of_item(&old)),
                    None => error,
                }
            }
        }
    }
}

impl From<Refusal> for DynamoError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl ItemWrite {
    /// Without a condition.
    pub(crate) fn plain(action: Action) -> Self {
        Self { action, condition: None, tells_old: false }
    }

    /// The attributes in which the key is.
    pub(crate) fn key_attributes(&self) -> &Item {
        match &self.action {
            Action::Put(item) | Action::Insert(item) => item,
            Action::Update(key, _) | Action::Delete(key) | Action::Check(key) => key,
        }
    }

    /// Checks what the table's schema asks, and gives the item's key.
    pub(crate) fn key(&self, table: &Table) -> Result<ItemKey, Invalid> {
        match &self.action {
            Action::Put(item) | Action::Insert(item) => checks::item(table, item)?,
            Action::Update(key, update) => {
                checks::key(table, key, KeyIn::Request)?;
                if let Some(update) = update {
                    checks::update(table, update)?;
                }
            }
            Action::Delete(key) | Action::Check(key) => checks::key(table, key, KeyIn::Request)?,
        }
        if let Some(condition) = &self.condition {
            checks::scalar_keys(table, |name| checks::is_nested(condition.paths(), name))?;
        }
        table.key_of(self.key_attributes()).map_err(|_| Invalid::new(checks::KEY_MISMATCH))
    }

    /// What becomes of the item that is there; `None` when it goes.
    pub(crate) fn outcome(
        &self,
        table: &Table,
        old: Option<&Item>,
    ) -> Result<Option<Cow<'_, Item>>, Refusal> {
        if let Some(condition) = &self.condition {
            let nothing = Item::new();
            if !condition.matches(old.unwrap_or(&nothing)) {
                return Err(Refusal::Condition(old.filter(|_| self.tells_old).cloned()));
            }
        }
        Ok(match &self.action {
            Action::Insert(_) if old.is_some() => return Err(Refusal::Duplicate),
            Action::Put(item) | Action::Insert(item) => Some(Cow::Borrowed(item)),
            Action::Delete(_) => None,
            Action::Check(_) => old.cloned().map(Cow::Owned),
            Action::Update(key, update) => {
                let mut item = old.unwrap_or(key).clone();
                if let Some(update) = update {
                    apply(table, update, old, &mut item)?;
                }
                Some(Cow::Owned(item))
            }
        })
    }

    /// How many bytes of the request it holds, as they count in items.
    pub(crate) fn held_bytes(&self) -> usize {
        let update = match &self.action {
            Action::Update(_, update) => update.as_ref().map_or(0, Update::value_bytes),
            _ => 0,
        };
        item_bytes(self.key_attributes()) + update + self.condition.as_ref().map_or(0, Condition::value_bytes)
    }

    /// Whether something is written, if the condition is met.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.action, Action::Check(_))
    }
}

/// Checks an item that is to be put, before its table is known.
pub(crate) fn check_size(item: &Item) -> Result<(), Invalid> {
    if item_bytes(item) > ITEM_BYTES_MAX {
        return Err(Invalid::new("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

fn apply(table: &Table, update: &Update, old: Option<&Item>, item: &mut Item) -> Result<(), Invalid> {
    update.apply(item)?;
    if nesting(item) > MAX_NESTING {
        return Err(Invalid::new("Nesting Levels have exceeded supported limits"));
    }
    checks::updated_index_keys(table, old, item)?;
    if item_bytes(item) > ITEM_BYTES_MAX {
        return Err(Invalid::new("Item size to update has exceeded the maximum allowed size"));
    }
    Ok(())
}
