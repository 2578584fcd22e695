//! A table that all workers share: each number's history must have happened in one order, and money is neither made
//! nor lost, in no look at the accounts, and not in the end.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde_json::json;

use super::histories::is_linearizable;
use crate::client::Client;
use crate::verify::{Deed, Op};
use crate::work::Round;
use crate::work::tables::{
    ACCOUNTS, Account, History, OPENING_BALANCE, Snapshot, TABLE, TRANSACT_GET, Transfer, accounts_of, call,
    lines_of, number_of, parsed, register_key, snapshot_body,
};

/// Compares what all saw with each other and with the table; `settled` are the accounts after the last round, and then
/// after this one.
pub(crate) fn tables(
    history: &History,
    settled: &mut Vec<Account>,
    client: &mut Client,
    round: &Round,
) -> anyhow::Result<()> {
    for (register, ops) in history.registers.iter().enumerate() {
        let last = read(client, round, register)?;
        let all: Vec<Op> = ops.iter().copied().chain([last]).collect();
        if !is_linearizable(&all) {
            bail!("register {register} cannot have happened in one order:\n{}", told(&all));
        }
    }
    if settled.is_empty() {
        *settled = vec![Account { balance: OPENING_BALANCE, changes: 0 }; ACCOUNTS];
    }
    let began = client.now();
    let accounts = accounts_of(&client.must(call(TRANSACT_GET, snapshot_body().to_string().as_bytes()))?)?;
    let last = Snapshot { began, ended: client.now(), accounts: accounts.clone() };
    let done = lines(client, round)?;
    for transfer in &history.transfers {
        let line = done.get(&transfer.id);
        let is_as_told = line.is_none_or(|line| *line == (transfer.from, transfer.to, transfer.amount));
        if !is_as_told || transfer.done.is_some_and(|done| done != line.is_some()) {
            bail!("a transfer whose line is {line:?}: {transfer:?}");
        }
    }
    balances(settled, &accounts, &done)?;
    let mut snapshots: Vec<&Snapshot> = history.snapshots.iter().chain([&last]).collect();
    for snapshot in &snapshots {
        look(snapshot, settled, &history.transfers)?;
    }
    one_after_another(&mut snapshots)?;
    *settled = accounts;
    Ok(())
}

/// The number of a register now, as the last operation of its history.
fn read(client: &mut Client, round: &Round, register: usize) -> anyhow::Result<Op> {
    let body = json!({ "TableName": TABLE, "Key": register_key(round, register), "ConsistentRead": true });
    let began = client.now();
    let answer = client.must(call("GetItem", body.to_string().as_bytes()))?;
    let seen = number_of(&parsed(&answer)?["Item"]["number"])?;
    Ok(Op { deed: Deed::Read(seen), began, ended: Some(client.now()) })
}

fn told(ops: &[Op]) -> String {
    let mut ops = ops.to_vec();
    ops.sort_by_key(|op| op.began);
    let line = |op: &Op| format!("{:?} to {:?}: {:?}", op.began, op.ended, op.deed);
    ops.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The transfers of the round that the table has: whence, whither, and how much, by their ids.
fn lines(client: &mut Client, round: &Round) -> anyhow::Result<HashMap<String, (usize, usize, i64)>> {
    let mut found = HashMap::new();
    let mut body = json!({
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": lines_of(round) } },
        "ConsistentRead": true,
    });
    loop {
        let page = client.json(call("Query", body.to_string().as_bytes()))?;
        for line in page["Items"].as_array().into_iter().flatten() {
            let number = |name: &str| {
                number_of(&line[name])?.with_context(|| format!("a line without {name}: {line}"))
            };
            let id = line["sk"]["S"].as_str().unwrap_or_default().to_owned();
            found.insert(
                id,
                (usize::try_from(number("from")?)?, usize::try_from(number("to")?)?, number("amount")?),
            );
        }
        match &page["LastEvaluatedKey"] {
            serde_json::Value::Null => return Ok(found),
            last => body["ExclusiveStartKey"] = last.clone(),
        }
    }
}

/// The accounts must be what they were, and what the lines of the round say.
fn balances(
    before: &[Account],
    now: &[Account],
    done: &HashMap<String, (usize, usize, i64)>,
) -> anyhow::Result<()> {
    let mut expected = before.to_vec();
    for (from, to, amount) in done.values() {
        expected[*from].balance -= amount;
        expected[*to].balance += amount;
        for account in [*from, *to] {
            expected[account].changes += 1;
        }
    }
    if expected != now {
        bail!("the accounts are {now:?}; with {} lines of transfers they should be {expected:?}", done.len());
    }
    Ok(())
}

/// A look sees all the money, all transfers that had ended before it began, and none that began after it had ended.
fn look(snapshot: &Snapshot, before: &[Account], transfers: &[Transfer]) -> anyhow::Result<()> {
    let sum: i64 = snapshot.accounts.iter().map(|account| account.balance).sum();
    let all = OPENING_BALANCE * ACCOUNTS as i64;
    if sum != all {
        bail!("a look at the accounts sees {sum} of {all}: {snapshot:?}");
    }
    for (number, account) in snapshot.accounts.iter().enumerate() {
        let touches = |transfer: &&Transfer| transfer.from == number || transfer.to == number;
        let mine = || transfers.iter().filter(touches);
        let surely = mine()
            .filter(|transfer| transfer.done == Some(true))
            .filter(|transfer| transfer.ended.is_some_and(|ended| ended < snapshot.began));
        let perhaps = mine()
            .filter(|transfer| transfer.done != Some(false))
            .filter(|transfer| transfer.began < snapshot.ended);
        let least = before[number].changes + surely.count() as i64;
        let most = before[number].changes + perhaps.count() as i64;
        if !(least..=most).contains(&account.changes) {
            bail!("account {number} was changed {least} to {most} times by then: {snapshot:?}");
        }
    }
    Ok(())
}

/// Looks see the accounts in one order, which is that of time where one ended before the other began.
fn one_after_another(snapshots: &mut [&Snapshot]) -> anyhow::Result<()> {
    let changes = |snapshot: &Snapshot| snapshot.accounts.iter().map(|account| account.changes).sum::<i64>();
    snapshots.sort_by_key(|snapshot| (changes(snapshot), snapshot.began));
    let is_before = |first: &Snapshot, second: &Snapshot| {
        first.accounts.iter().zip(&second.accounts).all(|(a, b)| a.changes <= b.changes)
    };
    for pair in snapshots.windows(2) {
        if !is_before(pair[0], pair[1]) {
            bail!("two looks at the accounts, neither of which can be the first: {pair:?}");
        }
    }
    for (at, snapshot) in snapshots.iter().enumerate() {
        let later = snapshots[at + 1..]
            .iter()
            .find(|later| changes(later) > changes(snapshot) && later.ended < snapshot.began);
        if let Some(later) = later {
            bail!("a look at the accounts that sees less than one that had ended: {later:?}, {snapshot:?}");
        }
    }
    Ok(())
}
