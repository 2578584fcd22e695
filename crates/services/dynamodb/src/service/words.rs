//! How DynamoDB words broken constraints of its inputs, where it differs from what the model tells.

/// The sets of words that AWS lists in an order of its own: as the model has them, and as the service lists them.
const SETS: [(&str, &str); 6] = [
    ("[S, N, B]", "[B, N, S]"),
    ("[ALL, KEYS_ONLY, INCLUDE]", "[ALL, INCLUDE, KEYS_ONLY]"),
    ("[AND, OR]", "[OR, AND]"),
    (
        "[NONE, ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATED_NEW]",
        "[ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
    ),
    (
        "[ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES, COUNT]",
        "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]",
    ),
    (
        "[EQ, NE, IN, LE, LT, GE, GT, BETWEEN, NOT_NULL, NULL, CONTAINS, NOT_CONTAINS, BEGINS_WITH]",
        "[IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]",
    ),
];
const NO_TABLE: &str = "Value null at 'tableName'";
const NO_RESOURCE: &str = "Value null at 'resourceArn'";

/// Of operations on items.
pub(super) fn items(message: String) -> String {
    if !message.contains("enum value set") {
        return message;
    }
    SETS.iter().fold(message, |message, (model, service)| message.replace(model, service))
}

/// Of operations on tables: whether there is a name is asked before all else.
pub(super) fn tables(message: String) -> String {
    if message.contains(NO_TABLE) {
        return "The parameter 'TableName' is required but was not present in the request".to_owned();
    }
    if message.contains(NO_RESOURCE) {
        return "Invalid TableArn".to_owned();
    }
    items(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_the_services_order() {
        let model = "Member must satisfy enum value set: [S, N, B]".to_owned();
        assert_eq!(items(model), "Member must satisfy enum value set: [B, N, S]");
    }

    #[test]
    fn a_missing_name_is_told_alone() {
        let model =
            "2 validation errors detected: Value null at 'tableName' failed; Value null at 'tags' failed";
        let told = tables(model.to_owned());
        assert_eq!(told, "The parameter 'TableName' is required but was not present in the request");
    }
}
