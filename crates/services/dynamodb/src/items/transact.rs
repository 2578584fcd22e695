//! What all transactions have in common: one operation on each item, and reasons where they are cancelled.

use std::collections::BTreeSet;

use lambent_expressions::{Invalid, Item};
use lambent_model_dynamodb::errors::transaction_canceled_exception;
use lambent_wire::{ApiError, Document};

use super::document;
use super::write::{CONDITION_FAILED, DUPLICATE, Refusal};
use crate::error::validation;
use crate::keys::ItemKey;

/// The most bytes of all items of a transaction. Source: API reference, TransactWriteItems.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 4 << 20;

/// What one operation has to do with the end of its transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    /// As `ConditionalCheckFailed`, or `None`.
    code: &'static str,
    message: Option<String>,
    item: Option<Item>,
}

impl Reason {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self { code: "None", message: None, item: None }
    }

    pub(crate) fn invalid(invalid: Invalid) -> Self {
        Self { code: "ValidationError", message: Some(invalid.0), item: None }
    }

    pub(crate) fn throttled(refused: &ApiError) -> Self {
        let code = match &*refused.code {
            "ThrottlingException" => "ThrottlingError",
            _ => "ProvisionedThroughputExceeded",
        };
        Self { code, message: Some(refused.message.clone()), item: None }
    }

    pub(crate) fn collection_too_large(refused: &ApiError) -> Self {
        Self { code: "ItemCollectionSizeLimitExceeded", message: Some(refused.message.clone()), item: None }
    }

    pub(crate) fn not_found() -> Self {
        let message = "Requested resource not found";
        Self { code: "ResourceNotFound", message: Some(message.to_owned()), item: None }
    }

    pub(crate) fn conflict() -> Self {
        let message = "Transaction is ongoing for the item";
        Self { code: "TransactionConflict", message: Some(message.to_owned()), item: None }
    }

    /// Whether it is one: the operation would have failed alone, too.
    pub(crate) fn is_one(&self) -> bool {
        self.message.is_some()
    }

    fn document(&self) -> Document {
        let mut members = vec![("Code".to_owned(), Document::from(self.code))];
        members.extend(self.message.as_deref().map(|text| ("Message".to_owned(), Document::from(text))));
        members.extend(self.item.as_ref().map(|item| ("Item".to_owned(), document::of_item(item))));
        Document::Object(members.into_iter().collect())
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(invalid) => Self::invalid(invalid),
            Refusal::Condition(item) => {
                Self { code: "ConditionalCheckFailed", message: Some(CONDITION_FAILED.to_owned()), item }
            }
            Refusal::Duplicate => {
                Self { code: "DuplicateItem", message: Some(DUPLICATE.to_owned()), item: None }
            }
        }
    }
}

/// The end of a transaction for these reasons, one for each of its operations.
pub(crate) fn canceled(reasons: &[Reason]) -> ApiError {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let reasons = reasons.iter().map(Reason::document).collect();
    transaction_canceled_exception(message).with_detail("CancellationReasons", reasons)
}

/// Refuses two operations on one item.
pub(crate) fn once_each(keys: impl Iterator<Item = ItemKey>) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Invalid::new("Transaction request cannot include multiple operations on one item"));
        }
    }
    Ok(())
}

pub(crate) fn too_large() -> ApiError {
    validation("The aggregate size of the items in the transaction cannot exceed 4 MB")
}
