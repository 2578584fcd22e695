//! `lambent account`: accounts beside the owner's.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use lambent_base::Clock;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::table::table;
use crate::text::{self, LEFT};
use crate::{CliError, exit, ui};

/// Lists the accounts; for the owner's root key alone.
pub const LIST_PATH: &str = "/_lambent/accounts";
/// Makes one: `?name=NAME`, and `&id=ID` where it is to have a certain one.
pub const CREATE_PATH: &str = "/_lambent/accounts/create";
/// Makes another root key: `?id=ID`.
pub const NEW_KEY_PATH: &str = "/_lambent/accounts/new-key";

/// Only whoever started the cloud may read a key that is written.
const KEY_FILE_MODE: u32 = 0o600;

/// Make and list accounts
#[derive(Args, Clone, Debug)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum AccountCommand {
    /// Make an account, with a root key of its own that is shown once
    Create {
        /// What people call it: letters, digits, and -_.
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// Twelve digits; else some that are free
        #[arg(long, value_name = "ID", value_parser = id)]
        id: Option<String>,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Print the accounts
    List {
        #[command(flatten)]
        data: DataArg,
    },
    /// Make another key for an account's root; of two, the older one ends
    NewKey {
        /// Twelve digits
        #[arg(value_name = "ID", value_parser = id)]
        id: String,
        #[command(flatten)]
        key: KeyArgs,
    },
}

#[derive(Args, Clone, Debug)]
struct KeyArgs {
    /// Write the key to this file, which must not exist, instead of to stdout
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    data: DataArg,
}

/// An account, as the cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAccount {
    /// Twelve digits.
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970; 0 for the owner's account.
    pub created_ms: i64,
}

/// A root key, in the form of the data directory's `root-key.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKey {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub account: String,
    pub region: String,
}

/// The secret is for stdout or a file, and for nothing else.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Runs the command that was chosen.
pub fn run(arguments: &AccountArgs) -> ExitCode {
    ui::finish(ui::block_on(async {
        match &arguments.command {
            AccountCommand::List { data } => list(data).await,
            AccountCommand::Create { name, id, key } => {
                let id = id.as_ref().map_or_else(String::new, |id| format!("&id={id}"));
                make_key("CreateAccount", &format!("{CREATE_PATH}?name={name}{id}"), key).await
            }
            AccountCommand::NewKey { id, key } => {
                make_key("CreateRootKey", &format!("{NEW_KEY_PATH}?id={id}"), key).await
            }
        }
    }))
}

async fn list(data: &DataArg) -> Result<u8, CliError> {
    let accounts: Vec<ListedAccount> = ask("ListAccounts", LIST_PATH, Method::GET, data).await?;
    let made = |ms: i64| if ms == 0 { String::new() } else { text::time(ms) };
    let row = |one: &ListedAccount| vec![one.id.clone(), text::cell(&one.name), made(one.created_ms)];
    let rows: Vec<_> = accounts.iter().map(row).collect();
    ui::print(&table(&[("ACCOUNT", LEFT), ("NAME", LEFT), ("MADE", LEFT)], &rows))?;
    Ok(exit::DONE)
}

async fn make_key(action: &str, path: &str, arguments: &KeyArgs) -> Result<u8, CliError> {
    // Found out before there is a key that could not be written.
    let file =
        arguments.key_file.as_deref().map(|path| new_file(path).map(|file| (path, file))).transpose()?;
    let key: AccountKey = ask(action, path, Method::POST, &arguments.data).await?;
    let AccountKey { access_key_id, secret_access_key, account, region } = &key;
    match file {
        Some((path, mut file)) => {
            let text = serde_json::to_string_pretty(&key).expect("four texts are JSON");
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(CliError::disk("write", path))?;
            ui::say(format_args!("the root key of account {account} is in {}", path.display()));
        }
        None => {
            ui::say(format_args!("the root key of account {account}, which is shown this once:"));
            ui::print(&format!(
                "export AWS_ACCESS_KEY_ID={access_key_id} AWS_SECRET_ACCESS_KEY={secret_access_key} \
                 AWS_DEFAULT_REGION={region}\n"
            ))?;
        }
    }
    Ok(exit::DONE)
}

fn new_file(path: &Path) -> Result<std::fs::File, CliError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path);
    made.map_err(CliError::disk("write", path))
}

async fn ask<T: serde::de::DeserializeOwned>(
    action: &str,
    path: &str,
    method: Method,
    data: &DataArg,
) -> Result<T, CliError> {
    let client = Client::new(Cloud::find(&data.data)?, Clock::system());
    let body = client.expect(&Request::new(action, "lambent", method, path)).await?;
    serde_json::from_slice(&body).map_err(|error| CliError::Answer {
        action: action.to_owned(),
        expected: "accounts or a key",
        found: error.to_string(),
    })
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_fit = !text.is_empty() && text.chars().all(is_plain);
    is_fit.then(|| text.to_owned()).ok_or_else(|| "expected letters, digits, and -_.".to_owned())
}

fn id(text: &str) -> Result<String, String> {
    let is_fit = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    is_fit.then(|| text.to_owned()).ok_or_else(|| "expected twelve digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_need_no_encoding() {
        assert!(name("team-1.x").is_ok() && id("012345678901").is_ok());
        for wrong in ["", "a b", "a&id=1", "ä", "a/b"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "1", "01234567890a", "0123456789012"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_not_printed_by_accident() {
        let key = AccountKey {
            access_key_id: "AKIA".into(),
            secret_access_key: "hidden".into(),
            account: "1".into(),
            region: "r".into(),
        };
        assert!(!format!("{key:?}").contains("hidden"));
    }
}
