//! The second step from a name to what it means: qualifiers are looked up.

use lambent_store::{Db, Txn};

use crate::errors::LambdaError;
use crate::keys;
use crate::lambda::Lambda;
use crate::names::{FunctionName, Which};
use crate::rows::{self, AliasRow};

/// What a name means, and that it is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    /// Of an alias, its main version.
    pub(crate) which: Which,
    /// The alias that the qualifier names, if it names one.
    pub(crate) alias: Option<AliasRow>,
}

impl Lambda {
    /// What a name means at this moment; `None` where there is no such function, version or alias.
    pub(crate) async fn resolve(
        &self,
        db: &Db,
        name: &FunctionName,
    ) -> Result<Option<Resolved>, LambdaError> {
        db.read(|txn| async move { resolve(&txn, name).await }).await
    }
}

/// Like [`Lambda::resolve`], as a part of a transaction.
pub(crate) async fn resolve(txn: &Txn, name: &FunctionName) -> Result<Option<Resolved>, LambdaError> {
    let FunctionName { place, name: bare, qualifier } = name;
    match (name.which(), qualifier.as_deref()) {
        (Some(which), _) => {
            let key = match which {
                Which::Latest => keys::function(place, bare),
                Which::Published(number) => keys::version(place, bare, number),
            };
            Ok(txn.get(&key).await?.map(|_| Resolved { which, alias: None }))
        }
        (None, Some(alias)) => {
            let alias = rows::get_alias(txn, place, bare, alias).await?;
            Ok(alias.map(|alias| Resolved { which: alias.which(), alias: Some(alias) }))
        }
        (None, None) => Ok(None),
    }
}
