//! What a query or a scan gives of each item.

use lambent_expressions::{Condition, Invalid, Kind, Placeholders, Projection};
use lambent_model_dynamodb::Select;

use crate::table::{Index, Projected, Table};

/// What a request asks for, checked without its table.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) select: Option<Select>,
    pub(crate) projection: Option<Projection>,
}

impl Selection {
    /// FilterExpression and ProjectionExpression, in the order in which AWS reads them; each takes the place of what stood for
    /// it before there were expressions.
    pub(crate) fn read(
        (filter, projection): (Option<&str>, Option<&str>),
        placeholders: &mut Placeholders,
    ) -> Result<(Option<Condition>, Option<Projection>), Invalid> {
        let filter = filter.map(|text| Condition::parse(Kind::Filter, text, placeholders)).transpose()?;
        let projection = projection.map(|text| Projection::parse(text, placeholders)).transpose()?;
        placeholders.all_used()?;
        Ok((filter, projection))
    }

    /// Errors: what does not go together. `by_expression` says whether that gave the projection, or AttributesToGet.
    pub(crate) fn new(
        select: Option<Select>,
        projection: Option<Projection>,
        by_expression: bool,
        has_index: bool,
    ) -> Result<Self, Invalid> {
        let selection = Self { select, projection };
        selection.check(if by_expression { "ProjectionExpression" } else { "AttributesToGet" }, has_index)?;
        Ok(selection)
    }

    fn check(&self, parameter: &str, has_index: bool) -> Result<(), Invalid> {
        let Some(select) = &self.select else { return Ok(()) };
        let what = match select {
            Select::SpecificAttributes if self.projection.is_none() => {
                return Err(Invalid::new(
                    "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
                ));
            }
            Select::SpecificAttributes => return Ok(()),
            Select::Count => "only the Count",
            other => other.as_str(),
        };
        if self.projection.is_some() {
            return Err(Invalid::new(format!("Cannot specify the {parameter} when choosing to get {what}")));
        }
        if *select == Select::AllProjectedAttributes && !has_index {
            return Err(Invalid::new(
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
            ));
        }
        Ok(())
    }

    pub(crate) fn only_counts(&self) -> bool {
        self.select == Some(Select::Count)
    }

    /// Whether items must be looked up in the table, as the index has less than is asked for.
    /// Errors: a global index has all that there is to get.
    pub(crate) fn fetches(&self, table: &Table, index: Option<&Index>) -> Result<bool, Invalid> {
        let Some(index) = index.filter(|index| index.projection != Projected::All) else { return Ok(false) };
        if self.select == Some(Select::AllAttributes) {
            return if index.is_local { Ok(true) } else { Err(not_all(index)) };
        }
        let Some(projection) = &self.projection else { return Ok(false) };
        let missing: Vec<&str> = projection
            .paths()
            .iter()
            .map(|path| path.head.as_str())
            .filter(|name| !index.holds(&table.key, name))
            .collect();
        match missing.is_empty() {
            true => Ok(false),
            false if index.is_local => Ok(true),
            false => Err(not_held(index, &missing)),
        }
    }
}

fn not_all(index: &Index) -> Invalid {
    Invalid::new(format!(
        "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index {} \
         because its projection type is not ALL",
        index.name
    ))
}

fn not_held(index: &Index, names: &[&str]) -> Invalid {
    Invalid::new(format!(
        "One or more parameter values were invalid: Global secondary index {} does not project [{}]",
        index.name,
        names.join(", ")
    ))
}
