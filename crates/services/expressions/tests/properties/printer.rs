//! Writes expressions as texts, with placeholders for every value and for names that need one.

use std::collections::BTreeMap;

use lambent_expressions::{
    Action, Change, Condition, Operand, Path, Placeholders, Projection, Source, Step, Update, Value,
};

/// What was written so far stands for.
#[derive(Default)]
pub(crate) struct Printer {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Value>,
}

impl Printer {
    /// The placeholders in all that was written.
    pub(crate) fn placeholders(&self) -> Placeholders {
        let names = Some(self.names.clone()).filter(|all| !all.is_empty());
        let values = Some(self.values.clone()).filter(|all| !all.is_empty());
        Placeholders::new(names, values).expect("keys that are made here")
    }

    pub(crate) fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::All(parts) => self.joined(parts, " AND "),
            Condition::Any(parts) => self.joined(parts, " OR "),
            Condition::Not(part) => format!("NOT {}", self.wrapped(part, true)),
            Condition::Compare(comparator, one, two) => {
                format!("{} {} {}", self.operand(one), comparator.sign(), self.operand(two))
            }
            Condition::Between(one, low, high) => {
                format!("{} BETWEEN {} AND {}", self.operand(one), self.operand(low), self.operand(high))
            }
            Condition::In(one, others) => {
                let others: Vec<_> = others.iter().map(|other| self.operand(other)).collect();
                format!("{} IN ({})", self.operand(one), others.join(", "))
            }
            Condition::Exists(path) => format!("attribute_exists({})", self.path(path)),
            Condition::NotExists(path) => format!("attribute_not_exists({})", self.path(path)),
            Condition::HasType(one, name) => {
                format!("attribute_type({}, {})", self.operand(one), self.value(name))
            }
            Condition::BeginsWith(one, two) => {
                format!("begins_with({}, {})", self.operand(one), self.operand(two))
            }
            Condition::Contains(one, two) => {
                format!("contains({}, {})", self.operand(one), self.operand(two))
            }
        }
    }

    pub(crate) fn update(&mut self, update: &Update) -> String {
        let mut text = String::new();
        let mut last = "";
        for Action { path, change } in update.actions() {
            let path = self.path(path);
            let (section, action) = match change {
                Change::Set(source) => ("SET", format!("{path} = {}", self.source(source))),
                Change::Remove => ("REMOVE", path),
                Change::Add(value) => ("ADD", format!("{path} {}", self.value(value))),
                Change::Delete(value) => ("DELETE", format!("{path} {}", self.value(value))),
            };
            let before = if section == last { ",".to_owned() } else { format!("\n{section}") };
            text += &format!("{before} {action}");
            last = section;
        }
        text
    }

    pub(crate) fn projection(&mut self, projection: &Projection) -> String {
        let paths: Vec<_> = projection.paths().iter().map(|path| self.path(path)).collect();
        paths.join(", ")
    }

    fn joined(&mut self, parts: &[Condition], between: &str) -> String {
        // AND binds tighter than OR: only in an OR it needs no parentheses.
        let wraps_all = between == " AND ";
        let parts: Vec<_> = parts.iter().map(|part| self.wrapped(part, wraps_all)).collect();
        parts.join(between)
    }

    fn wrapped(&mut self, part: &Condition, wraps_all: bool) -> String {
        let text = self.condition(part);
        match part {
            Condition::Any(_) => format!("({text})"),
            Condition::All(_) if wraps_all => format!("({text})"),
            _ => text,
        }
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(value) => self.value(value),
            Operand::Size(inner) => format!("size({})", self.operand(inner)),
        }
    }

    fn source(&mut self, source: &Source) -> String {
        match source {
            Source::Path(path) => self.path(path),
            Source::Value(value) => self.value(value),
            Source::IfNotExists(path, other) => {
                format!("if_not_exists({}, {})", self.path(path), self.source(other))
            }
            Source::Append(one, two) => format!("list_append({}, {})", self.source(one), self.source(two)),
            Source::Plus(one, two) => format!("{} + {}", self.source(one), self.source(two)),
            Source::Minus(one, two) => format!("{} - {}", self.source(one), self.source(two)),
        }
    }

    fn path(&mut self, path: &Path) -> String {
        let mut text = self.name(&path.head);
        for step in &path.rest {
            match step {
                Step::Name(name) => text += &format!(".{}", self.name(name)),
                Step::Index(index) => text += &format!("[{index}]"),
            }
        }
        text
    }

    /// Names that begin with a `p` are good as they are in these tests.
    fn name(&mut self, name: &str) -> String {
        if name.starts_with('p') {
            return name.to_owned();
        }
        let known = self.names.iter().find(|(_, stands_for)| *stands_for == name).map(|(key, _)| key.clone());
        known.unwrap_or_else(|| {
            let key = format!("#n{}", self.names.len());
            self.names.insert(key.clone(), name.to_owned());
            key
        })
    }

    fn value(&mut self, value: &Value) -> String {
        let key = format!(":v{}", self.values.len());
        self.values.insert(key.clone(), value.clone());
        key
    }
}
