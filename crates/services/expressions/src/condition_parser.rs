//! The grammar of conditions, and what AWS checks of them before it looks at a table.
//!
//! A parenthesis may hold a condition or an operand, and only what follows tells which: both are read as a [`Term`].

use std::sync::Arc;

use crate::Value;
use crate::condition::{Comparator, Condition, Operand};
use crate::functions::{TYPE_NAMES, order, shown};
use crate::lexer::{Kind, Token};
use crate::parser::{MAX_IN_OPERANDS, Parsed, Parser, note, redundant, wrong_count, wrong_type};
use crate::path::Path;

/// How tightly operators bind; comparators bind tightest, and have no number as nothing stands between them and their operands.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;

/// Something that was read, and whether parentheses were the last thing around it.
struct Read<'a> {
    term: Term<'a>,
    wrapped: bool,
}

/// Conditions are boxed as terms go through many frames of the stack.
enum Term<'a> {
    Operand(Operand),
    Condition(Box<Condition>),
    /// A function that says yes or no; a condition if nothing follows that makes an operand of it.
    Boolean(&'a str, Box<Condition>),
    /// `size`, or a function that conditions don't have, which was noted.
    Valued(Operand),
}

/// Reads a whole condition.
pub(crate) fn condition(parser: &mut Parser<'_>) -> Parsed<Condition> {
    let read = expression(parser, OR, 0)?;
    let condition = as_condition(parser, read.term)?;
    if parser.token.kind != Kind::End {
        return parser.refuse();
    }
    let problems = &mut parser.problems;
    let sorts = [
        &mut problems.unknown_function,
        &mut problems.misused_function,
        &mut problems.reserved,
        &mut problems.condition,
    ];
    match sorts.into_iter().find_map(Option::take) {
        Some(problem) => Err(problem),
        None => Ok(*condition),
    }
}

impl<'a> Read<'a> {
    /// Hands its term over, to be put in place of it.
    fn take(&mut self) -> Term<'a> {
        std::mem::replace(&mut self.term, Term::Valued(nothing()))
    }

    fn put(&mut self, condition: Condition) {
        *self = Self { term: Term::Condition(Box::new(condition)), wrapped: false };
    }
}

/// Reads what is bound at least as tightly as by `power`. What follows a term changes it in place: it takes less of the stack.
fn expression<'a>(parser: &mut Parser<'a>, power: u8, depth: u32) -> Parsed<Read<'a>> {
    let mut read = if parser.is_word("NOT") { negation(parser, depth)? } else { primary(parser, depth)? };
    loop {
        if parser.is_word("AND") && power <= AND {
            join(parser, &mut read, AND, depth)?;
        } else if parser.is_word("OR") && power <= OR {
            join(parser, &mut read, OR, depth)?;
        } else if matches!(read.term, Term::Condition(_)) || !compare(parser, &mut read, depth)? {
            return Ok(read);
        }
    }
}

/// Reads what compares an operand with others, if that follows.
fn compare(parser: &mut Parser<'_>, read: &mut Read<'_>, depth: u32) -> Parsed<bool> {
    if let Some(comparator) = comparator(parser.token.kind) {
        comparison(parser, read, comparator, depth)?;
    } else if parser.is_word("BETWEEN") {
        between(parser, read, depth)?;
    } else if parser.is_word("IN") {
        one_of(parser, read, depth)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn comparator(kind: Kind) -> Option<Comparator> {
    Some(match kind {
        Kind::Eq => Comparator::Eq,
        Kind::Ne => Comparator::Ne,
        Kind::Lt => Comparator::Lt,
        Kind::Le => Comparator::Le,
        Kind::Gt => Comparator::Gt,
        Kind::Ge => Comparator::Ge,
        _ => return None,
    })
}

fn negation<'a>(parser: &mut Parser<'a>, depth: u32) -> Parsed<Read<'a>> {
    parser.count_operator()?;
    parser.take();
    let depth = parser.deeper(depth)?;
    let mut read = expression(parser, NOT, depth)?;
    let inner = as_condition(parser, read.take())?;
    read.put(Condition::Not(inner));
    Ok(read)
}

/// `left AND right` or `left OR right`; a chain of one of them is one condition.
fn join<'a>(parser: &mut Parser<'a>, read: &mut Read<'a>, power: u8, depth: u32) -> Parsed<()> {
    let left = as_condition(parser, read.take())?;
    parser.count_operator()?;
    parser.take();
    let mut right = expression(parser, power + 1, depth)?;
    let right = as_condition(parser, right.take())?;
    joined(read, left, right, power);
    Ok(())
}

#[expect(clippy::boxed_local, reason = "the caller's frame is one of many, and stays small")]
fn joined(read: &mut Read<'_>, left: Box<Condition>, right: Box<Condition>, power: u8) {
    let wrapped = read.wrapped;
    read.put(match (*left, power) {
        (Condition::All(mut parts), AND) if !wrapped => {
            parts.push(*right);
            Condition::All(parts)
        }
        (Condition::Any(mut parts), OR) if !wrapped => {
            parts.push(*right);
            Condition::Any(parts)
        }
        (left, AND) => Condition::All(vec![left, *right]),
        (left, _) => Condition::Any(vec![left, *right]),
    });
}

fn comparison(
    parser: &mut Parser<'_>,
    read: &mut Read<'_>,
    comparator: Comparator,
    depth: u32,
) -> Parsed<()> {
    parser.count_operator()?;
    parser.take();
    let left = as_operand(parser, read.take());
    let right = operand(parser, depth)?.0;
    let sign = comparator.sign();
    check_distinct(parser, sign, &left, [&right]);
    if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
        check_ordered(parser, sign, [&left, &right]);
    }
    settle(parser);
    read.put(Condition::Compare(comparator, left, right));
    Ok(())
}

fn between(parser: &mut Parser<'_>, read: &mut Read<'_>, depth: u32) -> Parsed<()> {
    parser.count_operator()?;
    parser.take();
    let found = as_operand(parser, read.take());
    let low = operand(parser, depth)?.0;
    if !parser.takes_word("AND") {
        return parser.refuse();
    }
    let high = operand(parser, depth)?.0;
    check_distinct(parser, "BETWEEN", &found, [&low, &high]);
    check_ordered(parser, "BETWEEN", [&found, &low, &high]);
    if let (Operand::Value(low), Operand::Value(high)) = (&low, &high) {
        check_bounds(parser, low, high);
    }
    settle(parser);
    read.put(Condition::Between(found, low, high));
    Ok(())
}

fn one_of(parser: &mut Parser<'_>, read: &mut Read<'_>, depth: u32) -> Parsed<()> {
    parser.count_operator()?;
    parser.take();
    let found = as_operand(parser, read.take());
    parser.expect(Kind::Open)?;
    let others = operands(parser, depth)?;
    if others.len() > MAX_IN_OPERANDS {
        let count = others.len();
        note(&mut parser.problems.operand_type, || {
            format!("The IN operator is provided with too many operands; number of operands: {count}")
        });
    }
    check_distinct(parser, "IN", &found, &others);
    settle(parser);
    read.put(Condition::In(found, others));
    Ok(())
}

/// Something in parentheses, a path, a value or a function.
fn primary<'a>(parser: &mut Parser<'a>, depth: u32) -> Parsed<Read<'a>> {
    if !parser.takes(Kind::Open) {
        return Ok(Read { term: simple(parser, depth)?, wrapped: false });
    }
    let deeper = parser.deeper(depth)?;
    let mut inner = expression(parser, OR, deeper)?;
    parser.expect(Kind::Close)?;
    if std::mem::replace(&mut inner.wrapped, true) {
        return redundant();
    }
    go_on(parser, &mut inner)?;
    Ok(inner)
}

/// Reads what follows a path in parentheses, if it goes on behind them.
fn go_on(parser: &mut Parser<'_>, read: &mut Read<'_>) -> Parsed<()> {
    if let Term::Operand(Operand::Path(path)) = &mut read.term
        && goes_on(parser)
    {
        *path = parser.rest_of_path(std::mem::replace(path, Path::of_attribute("")))?;
        read.wrapped = false;
    }
    Ok(())
}

/// Whether a path in parentheses goes on behind them.
fn goes_on(parser: &Parser<'_>) -> bool {
    matches!(parser.token.kind, Kind::Dot | Kind::OpenIndex)
}

fn simple<'a>(parser: &mut Parser<'a>, depth: u32) -> Parsed<Term<'a>> {
    if parser.token.kind == Kind::ValueRef {
        return Ok(Term::Operand(parser.value()?.map_or_else(nothing, Operand::Value)));
    }
    if !parser.is_free_name() {
        return Ok(Term::Operand(Operand::Path(parser.path()?)));
    }
    let name = parser.take();
    if parser.token.kind == Kind::Open {
        return call(parser, name, depth);
    }
    Ok(Term::Operand(Operand::Path(parser.path_from(name)?)))
}

/// An operand where nothing else may be, and whether parentheses were the last thing around it.
fn operand(parser: &mut Parser<'_>, depth: u32) -> Parsed<(Operand, bool)> {
    if !parser.takes(Kind::Open) {
        let term = simple(parser, depth)?;
        return Ok((as_operand(parser, term), false));
    }
    let deeper = parser.deeper(depth)?;
    let (inner, wrapped) = operand(parser, deeper)?;
    parser.expect(Kind::Close)?;
    if wrapped {
        return redundant();
    }
    match inner {
        Operand::Path(path) if goes_on(parser) => Ok((Operand::Path(parser.rest_of_path(path)?), false)),
        inner => Ok((inner, true)),
    }
}

/// Operands with commas between them, and the parenthesis that closes them.
fn operands(parser: &mut Parser<'_>, depth: u32) -> Parsed<Vec<Operand>> {
    let mut all = vec![operand(parser, depth)?.0];
    while parser.takes(Kind::Comma) {
        all.push(operand(parser, depth)?.0);
    }
    parser.expect(Kind::Close)?;
    Ok(all)
}

/// The function `name`, whose name was taken.
fn call<'a>(parser: &mut Parser<'a>, name: Token, depth: u32) -> Parsed<Term<'a>> {
    parser.count_operator()?;
    parser.expect(Kind::Open)?;
    let depth = parser.deeper(depth)?;
    let operands = operands(parser, depth)?;
    let name = parser.text_of(name);
    let wanted = match name {
        "attribute_exists" | "attribute_not_exists" | "size" => 1,
        "attribute_type" | "begins_with" | "contains" => 2,
        "if_not_exists" | "list_append" => {
            note(&mut parser.problems.misused_function, || {
                format!("The function is not allowed in a condition expression; function: {name}")
            });
            return Ok(Term::Valued(nothing()));
        }
        _ => {
            note(&mut parser.problems.unknown_function, || {
                format!("Invalid function name; function: {name}")
            });
            return Ok(Term::Valued(nothing()));
        }
    };
    if operands.len() != wanted {
        note(&mut parser.problems.operand_count, || wrong_count(name, operands.len()));
    } else if let [one, two] = &operands[..] {
        check_distinct(parser, name, one, [two]);
    }
    let mut operands = operands.into_iter();
    // What is missing was noted.
    let mut next = || operands.next().unwrap_or_else(nothing);
    if name == "size" {
        return Ok(Term::Valued(size(parser, next())));
    }
    Ok(Term::Boolean(name, Box::new(boolean(parser, name, next(), next()))))
}

fn size(parser: &mut Parser<'_>, operand: Operand) -> Operand {
    if let Some(found @ ("N" | "BOOL" | "NULL")) = operand.static_type() {
        note(&mut parser.problems.operand_type, || wrong_type("size", found));
    }
    Operand::Size(Box::new(operand))
}

/// The condition that a function of one or two operands is.
fn boolean(parser: &mut Parser<'_>, name: &str, one: Operand, two: Operand) -> Condition {
    match name {
        "attribute_exists" => Condition::Exists(as_path(parser, name, one)),
        "attribute_not_exists" => Condition::NotExists(as_path(parser, name, one)),
        "attribute_type" => {
            let path = as_path(parser, name, one);
            Condition::HasType(Operand::Path(path), type_name(parser, &two))
        }
        "begins_with" => {
            for found in [&one, &two].into_iter().filter_map(Operand::static_type) {
                if !matches!(found, "S" | "B") {
                    note(&mut parser.problems.operand_type, || wrong_type(name, found));
                }
            }
            Condition::BeginsWith(one, two)
        }
        _ => Condition::Contains(one, two),
    }
}

/// The second operand of `attribute_type`.
fn type_name(parser: &mut Parser<'_>, operand: &Operand) -> Arc<Value> {
    let names = || format!("{{{}}}", TYPE_NAMES.join(","));
    match operand {
        Operand::Value(value) => match &**value {
            Value::S(name) if TYPE_NAMES.contains(&name.as_str()) => return Arc::clone(value),
            Value::S(name) => note(&mut parser.problems.operand_type, || {
                format!("Invalid attribute type name found; type: {name}, valid types: {}", names())
            }),
            other => {
                let found = other.type_name();
                note(&mut parser.problems.operand_type, || wrong_type("attribute_type", found));
            }
        },
        Operand::Size(_) => note(&mut parser.problems.operand_type, || wrong_type("attribute_type", "N")),
        Operand::Path(_) => {
            note(&mut parser.problems.operand_type, || wrong_type("attribute_type", &names()));
        }
    }
    Arc::new(Value::Null)
}

fn as_path(parser: &mut Parser<'_>, function: &str, operand: Operand) -> Path {
    if let Operand::Path(path) = operand {
        return path;
    }
    note(&mut parser.problems.operand_type, || {
        format!("Operator or function requires a document path; operator or function: {function}")
    });
    Path::of_attribute("")
}

fn as_operand(parser: &mut Parser<'_>, term: Term<'_>) -> Operand {
    match term {
        Term::Operand(operand) | Term::Valued(operand) => operand,
        Term::Boolean(name, _) => {
            misused(parser, name);
            nothing()
        }
        // The grammar lets no condition come here.
        Term::Condition(_) => nothing(),
    }
}

fn as_condition(parser: &mut Parser<'_>, term: Term<'_>) -> Parsed<Box<Condition>> {
    match term {
        Term::Condition(condition) => Ok(condition),
        Term::Boolean(_, condition) => {
            settle(parser);
            Ok(condition)
        }
        Term::Valued(_) => {
            misused(parser, "size");
            Ok(Box::new(Condition::All(Vec::new())))
        }
        Term::Operand(_) => parser.refuse(),
    }
}

fn misused(parser: &mut Parser<'_>, function: &str) {
    note(&mut parser.problems.misused_function, || {
        format!("The function is not allowed to be used this way in an expression; function: {function}")
    });
}

/// At the end of a condition without parts: of its problems the weightiest is told, and none of a later condition's.
fn settle(parser: &mut Parser<'_>) {
    let problems = &mut parser.problems;
    if problems.condition.is_none() {
        let sorts = [
            &mut problems.undefined_name,
            &mut problems.operand_count,
            &mut problems.not_distinct,
            &mut problems.operand_type,
        ];
        problems.condition = sorts.into_iter().find_map(Option::take);
    }
}

fn check_distinct<'o>(
    parser: &mut Parser<'_>,
    operator: &str,
    first: &Operand,
    others: impl IntoIterator<Item = &'o Operand>,
) {
    if let Operand::Path(path) = first
        && others.into_iter().any(|other| other == first)
    {
        note(&mut parser.problems.not_distinct, || {
            format!(
                "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {path}"
            )
        });
    }
}

/// That each operand may be of a type that has an order.
fn check_ordered<'o>(
    parser: &mut Parser<'_>,
    operator: &str,
    operands: impl IntoIterator<Item = &'o Operand>,
) {
    for found in operands.into_iter().filter_map(Operand::static_type) {
        if !matches!(found, "S" | "N" | "B") {
            note(&mut parser.problems.operand_type, || wrong_type(operator, found));
        }
    }
}

fn check_bounds(parser: &mut Parser<'_>, low: &Value, high: &Value) {
    let wrong = if low.type_name() != high.type_name() {
        "same data type for lower and upper bounds"
    } else if order(low, high).is_some_and(std::cmp::Ordering::is_gt) {
        "upper bound to be greater than or equal to lower bound"
    } else {
        return;
    };
    note(&mut parser.problems.operand_type, || {
        let (low, high) = (shown(low), shown(high));
        format!(
            "The BETWEEN operator requires {wrong}; lower bound operand: AttributeValue: {low}, upper bound operand: AttributeValue: {high}"
        )
    });
}

/// In place of what cannot be had, which was noted.
fn nothing() -> Operand {
    Operand::Path(Path::of_attribute(""))
}
