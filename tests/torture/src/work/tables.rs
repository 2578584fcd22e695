//! Items of a table that all workers share: numbers that they write, swap, add to and delete, and accounts between which
//! they move money. What each saw is noted in a history that is common to all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Random;
use lambent_test_client::{Answer, Request};
use serde_json::{Value, json};

use super::{Round, Worker};
use crate::client::{Client, Told};
use crate::content::below;
use crate::pulse::Pulse;
use crate::verify;
use crate::verify::{Deed, Op};

/// The table; `setup` makes it.
pub(crate) const TABLE: &str = "shared";
/// Numbers of each round: few, so that workers meet.
const REGISTERS: usize = 3;
pub(crate) const ACCOUNTS: usize = 5;
/// What each account has at first.
pub(crate) const OPENING_BALANCE: i64 = 100;
const AMOUNT_MAX: usize = 30;

/// What all workers of a campaign saw in this round.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) registers: Vec<Vec<Op>>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Money that is moved, in one transaction with a line that says so.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) id: String,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) amount: i64,
    pub(crate) began: Duration,
    pub(crate) ended: Option<Duration>,
    /// Whether it was done, where that is known.
    pub(crate) done: Option<bool>,
}

/// All accounts, read in one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) accounts: Vec<Account>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) balance: i64,
    /// How often it was changed.
    pub(crate) changes: i64,
}

/// What is shared by all workers of a campaign.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) history: Mutex<History>,
    /// The accounts as they were after the last round.
    pub(crate) settled: Mutex<Vec<Account>>,
}

/// One client of the table.
pub(crate) struct TableWorker {
    name: String,
    number: usize,
    shared: Arc<Shared>,
    /// Unanswered in the last round.
    open: usize,
    /// Makes what it writes its own.
    written: i64,
}

impl TableWorker {
    /// That many workers of one table.
    pub(crate) fn several(count: usize) -> impl Iterator<Item = Self> {
        let shared = Arc::new(Shared::default());
        (0..count).map(move |number| Self {
            name: format!("tables-{number}"),
            number,
            shared: Arc::clone(&shared),
            open: 0,
            written: 0,
        })
    }

    fn note(&self, add: impl FnOnce(&mut History)) {
        let mut history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.registers.resize(REGISTERS, Vec::new());
        add(&mut history);
    }

    /// One operation on a number.
    fn touch(&mut self, client: &mut Client, round: &Round, random: &Random) -> anyhow::Result<bool> {
        let register = below(random, REGISTERS);
        // No other worker writes this number in this round, and no addition comes near it.
        self.written += 1;
        let new = 1_000_000_000 + self.written * 1_000_000 + self.number as i64 * 1_000;
        let seen = self.last_seen(register);
        let deed = match (below(random, 10), seen) {
            (0..2, _) => Deed::Write(new),
            (2..4, Some(old)) => Deed::Swap { old, new, done: None },
            (4..6, _) => Deed::Add { seen: None },
            (6, _) => Deed::Delete { seen: None },
            _ => Deed::Read(None),
        };
        let (operation, body) = request_of(deed, &register_key(round, register));
        let began = client.now();
        let told = client.attempt(call(&operation, body.to_string().as_bytes()))?;
        let ended = client.now();
        let is_read = matches!(deed, Deed::Read(_));
        let op = match told {
            Told::Done(answer) => Op { deed: answered(deed, &answer)?, began, ended: Some(ended) },
            Told::Refused(answer) if answer.text().contains("ConditionalCheckFailed") => {
                let Deed::Swap { old, new, .. } = deed else { bail!("{deed:?}: {}", answer.text()) };
                Op { deed: Deed::Swap { old, new, done: Some(false) }, began, ended: Some(ended) }
            }
            Told::Refused(answer) => bail!("{deed:?}: {}", answer.text()),
            Told::Unknown if is_read => return Ok(false),
            Told::Unknown => Op { deed, began, ended: None },
        };
        self.open += usize::from(op.ended.is_none());
        self.note(|history| history.registers[register].push(op));
        Ok(op.ended.is_some())
    }

    /// A number that the register had not long ago, as far as is known.
    fn last_seen(&self, register: usize) -> Option<i64> {
        let history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
        let ops = history.registers.get(register)?;
        ops.iter().rev().find_map(|op| match op.deed {
            Deed::Write(seen) | Deed::Read(Some(seen)) | Deed::Add { seen: Some(seen) } => Some(seen),
            Deed::Swap { new, done: Some(true), .. } => Some(new),
            _ => None,
        })
    }

    fn transfer(&mut self, client: &mut Client, round: &Round, random: &Random) -> anyhow::Result<bool> {
        let from = below(random, ACCOUNTS);
        let to = (from + 1 + below(random, ACCOUNTS - 1)) % ACCOUNTS;
        self.written += 1;
        let id = format!("{}-{}", self.name, self.written);
        let amount = 1 + below(random, AMOUNT_MAX) as i64;
        let body = transfer_body(round, &id, (from, to), amount);
        let began = client.now();
        let told = client.attempt(call(TRANSACT_WRITE, body.to_string().as_bytes()))?;
        let ended = client.now();
        let done = match &told {
            Told::Done(_) => Some(true),
            Told::Refused(answer) if answer.text().contains("TransactionCanceledException") => Some(false),
            Told::Refused(answer) => bail!("a transfer: {}", answer.text()),
            Told::Unknown => None,
        };
        self.open += usize::from(done.is_none());
        let transfer = Transfer { id, from, to, amount, began, ended: done.map(|_| ended), done };
        self.note(|history| history.transfers.push(transfer));
        Ok(done.is_some())
    }

    fn look(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let began = client.now();
        let told = client.attempt(call(TRANSACT_GET, snapshot_body().to_string().as_bytes()))?;
        let ended = client.now();
        match told {
            Told::Done(answer) => {
                let accounts = accounts_of(&answer)?;
                self.note(|history| history.snapshots.push(Snapshot { began, ended, accounts }));
                Ok(true)
            }
            // It met a transfer.
            Told::Refused(answer) if answer.text().contains("TransactionConflict") => Ok(true),
            Told::Refused(answer) => bail!("a look at all accounts: {}", answer.text()),
            Told::Unknown => Ok(false),
        }
    }
}

impl Worker for TableWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, client: &mut Client, round: &Round, pulse: &Pulse) -> anyhow::Result<()> {
        let random = round.random(&self.name);
        self.open = 0;
        while !client.is_over()? {
            let is_answered = match below(&random, 10) {
                0..6 => self.touch(client, round, &random)?,
                6..8 => self.transfer(client, round, &random)?,
                _ => self.look(client)?,
            };
            if is_answered {
                pulse.beat();
            }
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, round: &Round) -> anyhow::Result<()> {
        // The history is everybody's: one compares it.
        if self.number > 0 {
            return Ok(());
        }
        let history =
            std::mem::take(&mut *self.shared.history.lock().unwrap_or_else(PoisonError::into_inner));
        let mut settled = self.shared.settled.lock().unwrap_or_else(PoisonError::into_inner);
        verify::tables(&history, &mut settled, client, round)
    }

    fn verify_all(&mut self, _client: &mut Client) -> anyhow::Result<()> {
        Ok(())
    }

    fn open_attempts(&self) -> usize {
        self.open
    }
}

pub(crate) const TRANSACT_GET: &str = "TransactGetItems";
const TRANSACT_WRITE: &str = "TransactWriteItems";

/// A call of DynamoDB.
pub(crate) fn call<'a>(operation: &'a str, body: &'a [u8]) -> Request<'a> {
    // Names of operations are few, and a request borrows its headers.
    let headers = HEADERS.iter().find(|(name, _)| *name == operation).map_or(&[][..], |(_, headers)| headers);
    Request { service: "dynamodb", method: "POST", target: "/", headers, body }
}

macro_rules! operations {
    ($($name:literal),*) => {
        &[$(($name, &[
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", concat!("DynamoDB_20120810.", $name)),
        ])),*]
    };
}

/// The headers of an operation, by its name.
type Headers = (&'static str, &'static [(&'static str, &'static str)]);

const HEADERS: &[Headers] = operations!(
    "CreateTable",
    "DeleteItem",
    "DescribeTable",
    "GetItem",
    "PutItem",
    "Query",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem"
);

/// The partition of a round's register.
pub(crate) fn register_key(round: &Round, register: usize) -> Value {
    json!({ "pk": { "S": format!("register-{}-{register}", round.number) }, "sk": { "S": "0" } })
}

pub(crate) fn account_key(account: usize) -> Value {
    json!({ "pk": { "S": format!("account-{account}") }, "sk": { "S": "0" } })
}

/// The partition of the lines that a round's transfers write.
pub(crate) fn lines_of(round: &Round) -> String {
    format!("lines-{}", round.number)
}

/// What the accounts are made with.
pub(crate) fn opening(account: usize) -> Value {
    let mut item = account_key(account);
    item["balance"] = json!({ "N": OPENING_BALANCE.to_string() });
    item["changes"] = json!({ "N": "0" });
    json!({ "TableName": TABLE, "Item": item })
}

fn request_of(deed: Deed, key: &Value) -> (String, Value) {
    let number = |value: i64| json!({ "N": value.to_string() });
    let item = |value: i64| {
        let mut item = key.clone();
        item["number"] = number(value);
        item
    };
    let (operation, body) = match deed {
        Deed::Write(new) => ("PutItem", json!({ "Item": item(new) })),
        Deed::Swap { old, new, .. } => (
            "PutItem",
            json!({
                "Item": item(new),
                "ConditionExpression": "#n = :old",
                "ExpressionAttributeNames": { "#n": "number" },
                "ExpressionAttributeValues": { ":old": number(old) },
            }),
        ),
        Deed::Add { .. } => (
            "UpdateItem",
            json!({
                "Key": key,
                "UpdateExpression": "ADD #n :one",
                "ExpressionAttributeNames": { "#n": "number" },
                "ExpressionAttributeValues": { ":one": number(1) },
                "ReturnValues": "UPDATED_NEW",
            }),
        ),
        Deed::Delete { .. } => ("DeleteItem", json!({ "Key": key, "ReturnValues": "ALL_OLD" })),
        Deed::Read(_) => ("GetItem", json!({ "Key": key, "ConsistentRead": true })),
    };
    let mut body = body;
    body["TableName"] = TABLE.into();
    (operation.to_owned(), body)
}

/// The deed with what its answer says.
fn answered(deed: Deed, answer: &Answer) -> anyhow::Result<Deed> {
    let body = parsed(answer)?;
    let seen = |member: &str| number_of(&body[member]["number"]);
    Ok(match deed {
        Deed::Write(new) => Deed::Write(new),
        Deed::Swap { old, new, .. } => Deed::Swap { old, new, done: Some(true) },
        Deed::Add { .. } => {
            let seen = seen("Attributes")?;
            Deed::Add { seen: Some(seen.with_context(|| format!("an addition gave {}", answer.text()))?) }
        }
        Deed::Delete { .. } => Deed::Delete { seen: Some(seen("Attributes")?) },
        Deed::Read(_) => Deed::Read(seen("Item")?),
    })
}

fn transfer_body(round: &Round, id: &str, (from, to): (usize, usize), amount: i64) -> Value {
    let change = |account: usize, sign: &str, condition: &str| {
        json!({
            "Update": {
                "TableName": TABLE,
                "Key": account_key(account),
                "UpdateExpression": format!("SET balance = balance {sign} :amount ADD changes :one"),
                "ConditionExpression": condition,
                "ExpressionAttributeValues": {
                    ":amount": { "N": amount.to_string() },
                    ":one": { "N": "1" },
                },
            }
        })
    };
    let line = json!({
        "pk": { "S": lines_of(round) },
        "sk": { "S": id },
        "from": { "N": from.to_string() },
        "to": { "N": to.to_string() },
        "amount": { "N": amount.to_string() },
    });
    let put = json!({ "Put": { "TableName": TABLE, "Item": line, "ConditionExpression": "attribute_not_exists(pk)" } });
    json!({
        "TransactItems": [
            change(from, "-", "balance >= :amount"),
            change(to, "+", "attribute_exists(balance)"),
            put,
        ]
    })
}

/// A look at all accounts.
pub(crate) fn snapshot_body() -> Value {
    let get = |account| json!({ "Get": { "TableName": TABLE, "Key": account_key(account) } });
    json!({ "TransactItems": (0..ACCOUNTS).map(get).collect::<Vec<_>>() })
}

/// The accounts in the answer to a look.
pub(crate) fn accounts_of(answer: &Answer) -> anyhow::Result<Vec<Account>> {
    let body = parsed(answer)?;
    let responses = body["Responses"].as_array().context("expected Responses")?;
    let account = |response: &Value| {
        let number = |name: &str| {
            number_of(&response["Item"][name])?
                .with_context(|| format!("an account without {name}: {response}"))
        };
        Ok(Account { balance: number("balance")?, changes: number("changes")? })
    };
    responses.iter().map(account).collect()
}

pub(crate) fn parsed(answer: &Answer) -> anyhow::Result<Value> {
    serde_json::from_slice(&answer.body).with_context(|| format!("expected JSON, got {}", answer.text()))
}

/// An attribute that is a number; `None` where it is absent.
pub(crate) fn number_of(attribute: &Value) -> anyhow::Result<Option<i64>> {
    match attribute["N"].as_str() {
        Some(text) => Ok(Some(text.parse().with_context(|| format!("`{text}` is no whole number"))?)),
        None if attribute.is_null() => Ok(None),
        None => bail!("expected a number, got {attribute}"),
    }
}
