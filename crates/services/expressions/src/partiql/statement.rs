//! Whole statements.

use super::condition::condition;
use super::cursor::{Cursor, is_keyword};
use super::lexer::{Kind, malformed};
use super::literal;
use super::update::update;
use crate::condition::Condition;
use crate::path::{Path, Step};
use crate::update::Update;
use crate::{Invalid, Item, Value};

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `SELECT ... FROM ... WHERE ...`
    Select(Select),
    /// `EXISTS(SELECT ...)`, which stands only in transactions.
    Exists(Select),
    /// `INSERT INTO table VALUE {...}`
    Insert {
        /// The table's name.
        table: String,
        /// What is put, if no item has its key.
        item: Item,
    },
    /// `UPDATE table SET ... REMOVE ... WHERE ...`
    Update {
        /// The table's name.
        table: String,
        /// What changes.
        update: Update,
        /// Which item, and what must hold for it.
        condition: Option<Condition>,
        /// What is answered.
        returning: Option<Returning>,
    },
    /// `DELETE FROM table WHERE ...`
    Delete {
        /// The table's name.
        table: String,
        /// Which item, and what must hold for it.
        condition: Option<Condition>,
        /// What is answered; it can only be all of the old item.
        returning: Option<Returning>,
    },
}

/// What SELECT asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// The table's name.
    pub table: String,
    /// The index's name.
    pub index: Option<String>,
    /// What is shown of each item; nothing stands for `*`.
    pub columns: Option<Vec<Column>>,
    /// Which items.
    pub condition: Option<Condition>,
    /// In which order.
    pub order: Vec<Order>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Where its value is in an item.
    pub path: Path,
    /// What it is called: the last name of the path, with the indexes after it.
    pub name: String,
}

/// A part of ORDER BY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The attribute.
    pub attribute: String,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// What RETURNING asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returning {
    /// Only what was changed, rather than all.
    pub modified: bool,
    /// After the change, rather than before.
    pub new: bool,
}

/// What a statement does; a policy has an action for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `dynamodb:PartiQLSelect`
    Select,
    /// `dynamodb:PartiQLInsert`
    Insert,
    /// `dynamodb:PartiQLUpdate`
    Update,
    /// `dynamodb:PartiQLDelete`
    Delete,
}

impl Statement {
    /// The table's name, as the statement has it.
    pub fn table(&self) -> &str {
        match self {
            Self::Select(select) | Self::Exists(select) => &select.table,
            Self::Insert { table, .. } | Self::Update { table, .. } | Self::Delete { table, .. } => table,
        }
    }

    /// The index's name.
    pub fn index(&self) -> Option<&str> {
        match self {
            Self::Select(select) | Self::Exists(select) => select.index.as_deref(),
            _ => None,
        }
    }

    /// What it does.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Select(_) | Self::Exists(_) => Verb::Select,
            Self::Insert { .. } => Verb::Insert,
            Self::Update { .. } => Verb::Update,
            Self::Delete { .. } => Verb::Delete,
        }
    }

    /// Its RETURNING clause.
    pub fn returning(&self) -> Option<Returning> {
        match self {
            Self::Update { returning, .. } | Self::Delete { returning, .. } => *returning,
            _ => None,
        }
    }
}

/// Reads a statement with the values for its question marks.
pub fn parse(statement: &str, parameters: Vec<Value>) -> Result<Statement, Invalid> {
    let mut cursor = Cursor::new(statement, parameters)?;
    let read = if cursor.word("select") {
        Statement::Select(select(&mut cursor)?)
    } else if cursor.word("insert") {
        insert(&mut cursor)?
    } else if cursor.word("update") {
        update_statement(&mut cursor)?
    } else if cursor.word("from") {
        update_from(&mut cursor)?
    } else if cursor.word("delete") {
        delete(&mut cursor)?
    } else if cursor.word("exists") {
        exists(&mut cursor)?
    } else {
        return Err(malformed("Expected data manipulation"));
    };
    cursor.finish()?;
    Ok(read)
}

fn select(cursor: &mut Cursor) -> Result<Select, Invalid> {
    let columns = if cursor.mark("*") { None } else { Some(columns(cursor)?) };
    if !cursor.word("from") {
        return Err(malformed("Expected FROM"));
    }
    let (table, index) = table(cursor)?.ok_or_else(|| cursor.unexpected())?;
    no_alias(cursor)?;
    let condition = condition_after_where(cursor)?;
    let order = if cursor.word("order") { order(cursor)? } else { Vec::new() };
    Ok(Select { table, index, columns, condition, order })
}

fn columns(cursor: &mut Cursor) -> Result<Vec<Column>, Invalid> {
    let mut columns = Vec::new();
    loop {
        let place = cursor.place();
        let not_a_path = || Invalid::new(format!("Unexpected path component at {place}"));
        if cursor.at_mark("*") {
            return Err(not_a_path());
        }
        let path = cursor.path()?.ok_or_else(not_a_path)?;
        if cursor.at_mark("(") {
            return Err(not_a_path());
        }
        no_alias(cursor)?;
        columns.push(Column { name: column_name(&path), path });
        if !cursor.mark(",") {
            return Ok(columns);
        }
    }
}

fn column_name(path: &Path) -> String {
    let last_name = path.rest.iter().rposition(|step| matches!(step, Step::Name(_)));
    let (mut name, indexes) = match last_name {
        Some(at) => (String::new(), &path.rest[at..]),
        None => (path.head.clone(), &path.rest[..]),
    };
    for step in indexes {
        match step {
            Step::Name(step) => name.push_str(step),
            Step::Index(index) => name.push_str(&format!("[{index}]")),
        }
    }
    name
}

fn order(cursor: &mut Cursor) -> Result<Vec<Order>, Invalid> {
    if !cursor.word("by") {
        return Err(malformed("Expected BY"));
    }
    let mut order = Vec::new();
    loop {
        let attribute = cursor.name().ok_or_else(|| cursor.unexpected())?;
        let descending = cursor.word("desc");
        if !descending {
            cursor.word("asc");
        }
        order.push(Order { attribute, descending });
        if !cursor.mark(",") {
            return Ok(order);
        }
    }
}

fn insert(cursor: &mut Cursor) -> Result<Statement, Invalid> {
    if !cursor.word("into") {
        return Err(malformed("Expected INTO"));
    }
    let (table, index) = table_to_write(cursor)?;
    if index.is_some() {
        return Err(Invalid::new("FROM clause may only contain a single table name"));
    }
    if !cursor.word("value") {
        return Err(malformed("Unexpected token after expression"));
    }
    Ok(Statement::Insert { table, item: literal::item(cursor)? })
}

fn update_statement(cursor: &mut Cursor) -> Result<Statement, Invalid> {
    let table = table_alone(cursor)?;
    let update = update(cursor)?;
    let condition = condition_after_where(cursor)?;
    let returning = returning(cursor)?;
    Ok(Statement::Update { table, update, condition, returning })
}

/// `FROM table WHERE ... SET ...`: the other way to write UPDATE.
fn update_from(cursor: &mut Cursor) -> Result<Statement, Invalid> {
    let table = table_alone(cursor)?;
    let condition = condition_after_where(cursor)?;
    let update = update(cursor)?;
    let returning = returning(cursor)?;
    Ok(Statement::Update { table, update, condition, returning })
}

fn delete(cursor: &mut Cursor) -> Result<Statement, Invalid> {
    if !cursor.word("from") {
        return Err(malformed("Expected FROM"));
    }
    let table = table_alone(cursor)?;
    let condition = condition_after_where(cursor)?;
    let returning = returning(cursor)?;
    if let Some(Returning { modified, new }) = returning
        && (modified || new)
    {
        let (which, when) = (if modified { "MODIFIED" } else { "ALL" }, if new { "NEW" } else { "OLD" });
        return Err(Invalid::new(format!(
            "Invalid returning clause: RETURNING {which} {when} *. Only RETURNING ALL OLD * is allowed in DELETE statements."
        )));
    }
    Ok(Statement::Delete { table, condition, returning })
}

fn exists(cursor: &mut Cursor) -> Result<Statement, Invalid> {
    cursor.expect("(", "LEFT_PAREN")?;
    if !cursor.word("select") {
        return Err(malformed("Expected SELECT"));
    }
    let select = select(cursor)?;
    cursor.expect(")", "RIGHT_PAREN")?;
    Ok(Statement::Exists(select))
}

fn condition_after_where(cursor: &mut Cursor) -> Result<Option<Condition>, Invalid> {
    if cursor.word("where") { condition(cursor).map(Some) } else { Ok(None) }
}

fn returning(cursor: &mut Cursor) -> Result<Option<Returning>, Invalid> {
    if !cursor.word("returning") {
        return Ok(None);
    }
    let modified = cursor.word("modified");
    if !modified && !cursor.word("all") {
        return Err(malformed("Expected ALL or MODIFIED in RETURNING"));
    }
    let new = cursor.word("new");
    if !new && !cursor.word("old") {
        return Err(malformed("Expected OLD or NEW in RETURNING"));
    }
    cursor.expect("*", "STAR")?;
    Ok(Some(Returning { modified, new }))
}

/// A table that is written to, without an alias.
fn table_alone(cursor: &mut Cursor) -> Result<String, Invalid> {
    let (table, index) = table_to_write(cursor)?;
    no_alias(cursor)?;
    match index {
        Some(_) => Err(Invalid::new("This operation is not supported on an index")),
        None => Ok(table),
    }
}

fn table_to_write(cursor: &mut Cursor) -> Result<(String, Option<String>), Invalid> {
    table(cursor)?.ok_or_else(|| malformed("Expected identifier for simple path"))
}

/// `table` or `"table"."index"`.
fn table(cursor: &mut Cursor) -> Result<Option<(String, Option<String>)>, Invalid> {
    let Some(table) = cursor.name() else { return Ok(None) };
    let mut parts = vec![table];
    while cursor.mark(".") {
        parts.push(cursor.name().ok_or_else(|| malformed("Invalid path dot component"))?);
    }
    if parts.iter().any(String::is_empty) {
        return Err(Invalid::new("Path component cannot be an empty string"));
    }
    if parts.len() > 2 {
        return Err(Invalid::new("A path may contain at most 2 components in the FROM clause"));
    }
    let mut parts = parts.into_iter();
    Ok(parts.next().map(|table| (table, parts.next())))
}

fn no_alias(cursor: &Cursor) -> Result<(), Invalid> {
    match cursor.peek() {
        Some(Kind::Quoted(_)) => Err(Invalid::new("Aliasing is not supported")),
        Some(Kind::Word(word)) if word.eq_ignore_ascii_case("as") || !is_keyword(word) => {
            Err(Invalid::new("Aliasing is not supported"))
        }
        _ => Ok(()),
    }
}
