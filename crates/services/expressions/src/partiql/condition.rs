//! WHERE: read into the same conditions as the expressions of other operations.

use std::sync::Arc;

use super::cursor::{Cursor, is_keyword};
use super::lexer::{Kind, malformed};
use super::literal;
use crate::condition::{Comparator, Condition, Operand};
use crate::functions::TYPE_NAMES;
use crate::{Invalid, Value};

/// How many operands IN can have.
const MAX_IN_OPERANDS: usize = 100;
/// How many parts a condition can have that compares conditions: such a comparison has its condition twice.
const MAX_COMPARED_PARTS: usize = 4_096;
/// What ends a condition that something should follow.
const NOTHING_FOLLOWS: &str = "Missing right-hand side expression of infix operator";
const COMPARATORS: [(&str, Comparator); 7] = [
    ("=", Comparator::Eq),
    ("<>", Comparator::Ne),
    ("!=", Comparator::Ne),
    ("<=", Comparator::Le),
    ("<", Comparator::Lt),
    (">=", Comparator::Ge),
    (">", Comparator::Gt),
];

/// The words after IS, and the type that each of them names.
const TYPES: [(&str, &str); 26] = [
    ("null", "NULL"),
    ("bool", "BOOL"),
    ("boolean", "BOOL"),
    ("string", "S"),
    ("symbol", "S"),
    ("char", "S"),
    ("varchar", "S"),
    ("number", "N"),
    ("numeric", "N"),
    ("decimal", "N"),
    ("int", "N"),
    ("int2", "N"),
    ("int4", "N"),
    ("int8", "N"),
    ("integer", "N"),
    ("smallint", "N"),
    ("bigint", "N"),
    ("float", "N"),
    ("real", "N"),
    ("binary", "B"),
    ("blob", "B"),
    ("list", "L"),
    ("map", "M"),
    ("struct", "M"),
    ("tuple", "M"),
    ("stringset", "SS"),
];

/// Reads the condition after WHERE.
pub(super) fn condition(cursor: &mut Cursor) -> Result<Condition, Invalid> {
    either(cursor)?.into_condition(cursor)
}

/// What a part of a condition is.
enum Term {
    Condition(Condition),
    Operand(Operand),
}

impl Term {
    fn into_condition(self, cursor: &Cursor) -> Result<Condition, Invalid> {
        match self {
            Self::Condition(condition) => Ok(condition),
            Self::Operand(_) => Err(cursor.unexpected()),
        }
    }

    fn into_operand(self) -> Result<Operand, Invalid> {
        match self {
            Self::Operand(operand) => Ok(operand),
            Self::Condition(_) => Err(malformed("a condition stands where a value or a path should")),
        }
    }
}

fn either(cursor: &mut Cursor) -> Result<Term, Invalid> {
    let first = both(cursor)?;
    if !cursor.at_word("or") {
        return Ok(first);
    }
    let mut parts = vec![first.into_condition(cursor)?];
    while cursor.word("or") {
        something_follows(cursor)?;
        parts.push(both(cursor)?.into_condition(cursor)?);
    }
    Ok(Term::Condition(Condition::Any(parts)))
}

fn both(cursor: &mut Cursor) -> Result<Term, Invalid> {
    let first = negation(cursor)?;
    if !cursor.at_word("and") {
        return Ok(first);
    }
    let mut parts = vec![first.into_condition(cursor)?];
    while cursor.word("and") {
        something_follows(cursor)?;
        parts.push(negation(cursor)?.into_condition(cursor)?);
    }
    Ok(Term::Condition(Condition::All(parts)))
}

fn something_follows(cursor: &Cursor) -> Result<(), Invalid> {
    if cursor.peek().is_none() || cursor.at_mark(";") { Err(malformed(NOTHING_FOLLOWS)) } else { Ok(()) }
}

fn negation(cursor: &mut Cursor) -> Result<Term, Invalid> {
    if !cursor.word("not") {
        return comparison(cursor);
    }
    let inner = cursor.deeper(negation)?.into_condition(cursor)?;
    Ok(Term::Condition(Condition::Not(Box::new(inner))))
}

fn comparison(cursor: &mut Cursor) -> Result<Term, Invalid> {
    let mut left = term(cursor)?;
    loop {
        let comparator = COMPARATORS.into_iter().find(|(sign, _)| cursor.mark(sign));
        left = if let Some((_, comparator)) = comparator {
            something_follows(cursor)?;
            Term::Condition(compared(comparator, left, term(cursor)?)?)
        } else if cursor.word("is") {
            Term::Condition(of_type(cursor, left)?)
        } else if cursor.at_word("not")
            && matches!(cursor.peek_second(), Some(Kind::Word(word)) if is_range_word(word))
        {
            cursor.step();
            Term::Condition(Condition::Not(Box::new(ranged(cursor, left)?)))
        } else if matches!(cursor.peek(), Some(Kind::Word(word)) if is_range_word(word)) {
            Term::Condition(ranged(cursor, left)?)
        } else {
            return Ok(left);
        };
        if let Term::Condition(condition) = &left
            && parts(condition) > MAX_COMPARED_PARTS
        {
            return Err(malformed("conditions are compared with one another too often"));
        }
    }
}

fn parts(condition: &Condition) -> usize {
    match condition {
        Condition::All(all) | Condition::Any(all) => 1 + all.iter().map(parts).sum::<usize>(),
        Condition::Not(inner) => 1 + parts(inner),
        _ => 1,
    }
}

fn is_range_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("in") || word.eq_ignore_ascii_case("between")
}

/// The rest of `a IN [b, c]` or `a BETWEEN b AND c`.
fn ranged(cursor: &mut Cursor, left: Term) -> Result<Condition, Invalid> {
    if cursor.word("in") {
        let others = in_operands(cursor)?;
        if others.len() > MAX_IN_OPERANDS {
            return Err(Invalid::new(format!(
                "The IN operator is provided with too many operands; number of operands: {}",
                others.len()
            )));
        }
        return match left {
            Term::Operand(operand) => Ok(Condition::In(operand, others)),
            Term::Condition(condition) => {
                let equal = |other| {
                    compared(Comparator::Eq, Term::Condition(condition.clone()), Term::Operand(other))
                };
                others.into_iter().map(equal).collect::<Result<_, _>>().map(Condition::Any)
            }
        };
    }
    cursor.word("between");
    let operand = left.into_operand()?;
    let low = term(cursor)?.into_operand()?;
    if !cursor.word("and") {
        return Err(malformed("Expected AND after BETWEEN"));
    }
    let high = term(cursor)?.into_operand()?;
    [&operand, &low, &high].into_iter().try_for_each(|each| ordered("BETWEEN", each))?;
    Ok(Condition::Between(operand, low, high))
}

fn in_operands(cursor: &mut Cursor) -> Result<Vec<Operand>, Invalid> {
    let end = if cursor.mark("[") {
        ("]", "RIGHT_BRACKET")
    } else if cursor.mark("(") {
        (")", "RIGHT_PAREN")
    } else if cursor.mark("<<") {
        (">>", "RIGHT_DOUBLE_ANGLE_BRACKET")
    } else if cursor.mark("?") {
        return match cursor.parameter()? {
            Value::L(values) => Ok(values.into_iter().map(value).collect()),
            other => Ok(vec![value(other)]),
        };
    } else {
        return Err(cursor.unexpected());
    };
    let mut operands = Vec::new();
    loop {
        operands.push(term(cursor)?.into_operand()?);
        if !cursor.mark(",") {
            break;
        }
    }
    cursor.expect(end.0, end.1)?;
    Ok(operands)
}

/// The rest of `path IS [NOT] MISSING`, or of another type.
fn of_type(cursor: &mut Cursor, left: Term) -> Result<Condition, Invalid> {
    let negated = cursor.word("not");
    let operand = left.into_operand()?;
    let condition = if cursor.word("missing") {
        match operand {
            Operand::Path(path) => Condition::NotExists(path),
            _ => return Err(malformed("only a path can be MISSING")),
        }
    } else {
        let named = TYPES.into_iter().find(|(word, _)| cursor.word(word));
        let (_, name) = named.ok_or_else(|| malformed("Expected type name"))?;
        Condition::HasType(operand, Arc::new(Value::S(name.to_owned())))
    };
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

/// `left < right`, where either may be a condition, which is as good as true or false.
fn compared(comparator: Comparator, left: Term, right: Term) -> Result<Condition, Invalid> {
    match (left, right) {
        (Term::Operand(left), Term::Operand(right)) => {
            if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
                ordered(comparator.sign(), &left)?;
                ordered(comparator.sign(), &right)?;
            }
            Ok(Condition::Compare(comparator, left, right))
        }
        _ if !matches!(comparator, Comparator::Eq | Comparator::Ne) => {
            Err(wrong_type(comparator.sign(), "BOOL"))
        }
        (Term::Condition(condition), Term::Operand(operand))
        | (Term::Operand(operand), Term::Condition(condition)) => {
            Ok(negated_if(comparator == Comparator::Ne, truth(condition, operand)))
        }
        (Term::Condition(one), Term::Condition(two)) => {
            let neither = Condition::All(vec![not(one.clone()), not(two.clone())]);
            let equal = Condition::Any(vec![Condition::All(vec![one, two]), neither]);
            Ok(negated_if(comparator == Comparator::Ne, equal))
        }
    }
}

/// Whether what holds is what the operand says: true or false, and never anything else.
fn truth(condition: Condition, operand: Operand) -> Condition {
    match &operand {
        Operand::Value(value) => match **value {
            Value::Bool(true) => condition,
            Value::Bool(false) => not(condition),
            _ => Condition::Any(Vec::new()),
        },
        _ => {
            let says = |truth| Condition::Compare(Comparator::Eq, operand.clone(), value(Value::Bool(truth)));
            let holds = Condition::All(vec![condition.clone(), says(true)]);
            Condition::Any(vec![holds, Condition::All(vec![not(condition), says(false)])])
        }
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn negated_if(negated: bool, condition: Condition) -> Condition {
    if negated { not(condition) } else { condition }
}

fn value(value: Value) -> Operand {
    Operand::Value(Arc::new(value))
}

/// Checks that an operand is of a type that has an order, as far as that can be told.
fn ordered(name: &str, operand: &Operand) -> Result<(), Invalid> {
    match operand.static_type() {
        None | Some("S" | "N" | "B") => Ok(()),
        Some(other) => Err(wrong_type(name, other)),
    }
}

/// AWS's refusal of an operand's type.
pub(super) fn wrong_type(name: &str, found: &str) -> Invalid {
    Invalid::new(format!(
        "Incorrect operand type for operator or function; operator or function: {name}, operand type: {found}"
    ))
}

/// An operand, a function, or a condition in parentheses.
fn term(cursor: &mut Cursor) -> Result<Term, Invalid> {
    if cursor.mark("(") {
        let inner = cursor.deeper(either)?;
        cursor.expect(")", "RIGHT_PAREN")?;
        return Ok(inner);
    }
    if cursor.mark("?") {
        return Ok(Term::Operand(value(cursor.parameter()?)));
    }
    if literal::begins(cursor) {
        return Ok(Term::Operand(value(literal::literal(cursor)?)));
    }
    if matches!(cursor.peek_second(), Some(Kind::Mark("(")))
        && let Some(Kind::Word(name)) = cursor.peek()
    {
        let name = name.to_ascii_lowercase();
        if !is_keyword(&name) || name == "exists" {
            return function(cursor, &name);
        }
    }
    match cursor.path()? {
        Some(path) => Ok(Term::Operand(Operand::Path(path))),
        None => Err(cursor.unexpected()),
    }
}

fn function(cursor: &mut Cursor, name: &str) -> Result<Term, Invalid> {
    let expected = match name {
        "attribute_exists" | "attribute_not_exists" | "size" => 1,
        "attribute_type" | "begins_with" | "contains" => 2,
        _ => return Err(Invalid::new(format!("Unrecognized function: {name} at {}", cursor.place()))),
    };
    cursor.step();
    cursor.step();
    let mut operands = Vec::new();
    while !cursor.mark(")") {
        if !operands.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        operands.push(cursor.deeper(term)?.into_operand()?);
    }
    if operands.len() != expected {
        return Err(Invalid::new(format!(
            "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {}",
            operands.len()
        )));
    }
    let mut operands = operands.into_iter();
    // As many as were expected.
    let mut next = || operands.next().unwrap_or_else(|| value(Value::Null));
    Ok(match name {
        "attribute_exists" | "attribute_not_exists" => {
            let Operand::Path(path) = next() else { return Err(needs_path(name)) };
            Term::Condition(if name == "attribute_exists" {
                Condition::Exists(path)
            } else {
                Condition::NotExists(path)
            })
        }
        "size" => Term::Operand(Operand::Size(Box::new(next()))),
        "attribute_type" => Term::Condition(typed(next(), next())?),
        "begins_with" => {
            let (whole, start) = (next(), next());
            match start.static_type() {
                None | Some("S" | "B") => {}
                Some(other) => return Err(wrong_type(name, other)),
            }
            Term::Condition(Condition::BeginsWith(whole, start))
        }
        _ => Term::Condition(Condition::Contains(next(), next())),
    })
}

fn needs_path(name: &str) -> Invalid {
    Invalid::new(format!("Operator or function requires a document path; operator or function: {name}"))
}

fn typed(operand: Operand, named: Operand) -> Result<Condition, Invalid> {
    let Operand::Value(named) = named else { return Err(wrong_type("attribute_type", "NULL")) };
    let Value::S(name) = &*named else { return Err(wrong_type("attribute_type", named.type_name())) };
    if !TYPE_NAMES.contains(&name.as_str()) {
        let valid = TYPE_NAMES.join(",");
        return Err(Invalid::new(format!(
            "Invalid attribute type name found; type: {name}, valid types: {{{valid}}}"
        )));
    }
    Ok(Condition::HasType(operand, named))
}
