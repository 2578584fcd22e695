//! What is told to policies of a request, and policies of tables.

use std::collections::BTreeMap;
use std::time::Duration;

use lambent_api::Call;
use lambent_identity::{Caller, CallerKind, ResourcePolicies, User, Wanted};
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::AttributeValue;

use crate::testing::Bench;
use crate::{DynamoError, wanted};

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/songs";

fn text(text: &str) -> AttributeValue {
    AttributeValue { s: Some(text.to_owned()), ..AttributeValue::default() }
}

fn attributes(all: &[(&str, &str)]) -> BTreeMap<String, AttributeValue> {
    all.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
}

fn keys(wanted: &Wanted, name: &str) -> Option<Vec<String>> {
    wanted.keys.get(name).map(<[String]>::to_vec)
}

fn texts(all: &[&str]) -> Option<Vec<String>> {
    Some(all.iter().map(|one| (*one).to_owned()).collect())
}

#[tokio::test]
async fn an_item_is_told_by_its_leading_key_and_attributes() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let call = bench.call();
    let input = model::GetItemInput {
        table_name: "songs".to_owned(),
        key: attributes(&[("id", "ann")]),
        projection_expression: Some("#t, places[0].name".to_owned()),
        expression_attribute_names: Some([("#t".to_owned(), "title".to_owned())].into()),
        ..Default::default()
    };
    let wanted = wanted::get_item(&bench.dynamo, &input, call.place()).await.unwrap();
    let [wanted] = wanted.as_slice() else { panic!("{wanted:?}") };
    assert_eq!((wanted.action, wanted.resource.as_str()), ("dynamodb:GetItem", ARN));
    assert_eq!(keys(wanted, "dynamodb:leadingkeys"), texts(&["ann"]));
    assert_eq!(keys(wanted, "dynamodb:attributes"), texts(&["id", "places", "title"]));
    assert_eq!(keys(wanted, "dynamodb:select"), texts(&["SPECIFIC_ATTRIBUTES"]));

    let whole = model::GetItemInput { projection_expression: None, ..input };
    let wanted = wanted::get_item(&bench.dynamo, &whole, call.place()).await.unwrap();
    assert_eq!(keys(&wanted[0], "dynamodb:select"), texts(&["ALL_ATTRIBUTES"]));
}

#[tokio::test]
async fn a_query_is_told_by_the_partition_that_it_reads() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let input = model::QueryInput {
        table_name: ARN.to_owned(),
        key_condition_expression: Some("id = :id".to_owned()),
        filter_expression: Some("year > :y".to_owned()),
        expression_attribute_values: Some(attributes(&[(":id", "ann"), (":y", "1970")])),
        ..Default::default()
    };
    let wanted = wanted::query(&bench.dynamo, &input, bench.call().place()).await.unwrap();
    assert_eq!(wanted[0].resource, ARN);
    assert_eq!(keys(&wanted[0], "dynamodb:leadingkeys"), texts(&["ann"]));
    assert_eq!(keys(&wanted[0], "dynamodb:attributes"), texts(&["id", "year"]));
    // An index has a leading key of its own; of one that is not there nothing is known.
    let input = model::QueryInput { index_name: Some("by-year".to_owned()), ..input };
    let wanted = wanted::query(&bench.dynamo, &input, bench.call().place()).await.unwrap();
    assert_eq!(wanted[0].resource, format!("{ARN}/index/by-year"));
    assert_eq!(keys(&wanted[0], "dynamodb:leadingkeys"), None);
}

#[tokio::test]
async fn a_transaction_wants_each_of_its_parts() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let put = model::Put {
        table_name: "songs".to_owned(),
        item: attributes(&[("id", "ann"), ("v", "1")]),
        ..Default::default()
    };
    let check = model::ConditionCheck {
        table_name: "other".to_owned(),
        key: attributes(&[("id", "bob")]),
        condition_expression: "attribute_exists(v)".to_owned(),
        ..Default::default()
    };
    let part = |part| model::TransactWriteItem { put: Some(part), ..Default::default() };
    let input = model::TransactWriteItemsInput {
        transact_items: vec![
            part(put),
            model::TransactWriteItem { condition_check: Some(check), ..Default::default() },
        ],
        ..Default::default()
    };
    let wanted = wanted::transact_write_items(&bench.dynamo, &input, bench.call().place()).await.unwrap();
    let told: Vec<_> = wanted.iter().map(|one| (one.action, keys(one, "dynamodb:leadingkeys"))).collect();
    // Nobody knows what leads in a table that is not there.
    assert_eq!(told, [("dynamodb:PutItem", texts(&["ann"])), ("dynamodb:ConditionCheckItem", None)]);
    assert_eq!(keys(&wanted[1], "dynamodb:enclosingoperation"), texts(&["TransactWriteItems"]));
    assert_eq!(keys(&wanted[1], "dynamodb:attributes"), texts(&["id", "v"]));
}

fn policy(principal: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},
        "Action":["dynamodb:GetItem","dynamodb:Query"],"Resource":"{resource}"}}}}"#
    )
}

/// What a refusal says.
fn refused<T: std::fmt::Debug>(result: Result<T, DynamoError>) -> (String, String) {
    match result.unwrap_err() {
        DynamoError::Refused(error) => (error.code.to_string(), error.message),
        other => panic!("{other}"),
    }
}

async fn put(bench: &Bench, call: &Call, text: &str, expected: Option<&str>) -> Result<String, DynamoError> {
    let input = model::PutResourcePolicyInput {
        resource_arn: ARN.to_owned(),
        policy: text.to_owned(),
        expected_revision_id: expected.map(str::to_owned),
        confirm_remove_self_resource_access: None,
    };
    Ok(bench.dynamo.put_resource_policy(call, input).await?.revision_id.unwrap())
}

#[tokio::test]
async fn a_policy_has_revisions() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let call = bench.call();
    let get = model::GetResourcePolicyInput { resource_arn: ARN.to_owned() };
    let (code, message) = refused(bench.dynamo.get_resource_policy(&call, get.clone()).await);
    assert_eq!(code, "PolicyNotFoundException");
    assert_eq!(message, format!("Resource-based policy not found for the provided ResourceArn: {ARN}"));

    let everybody = policy(r#"{"AWS":"111111111111"}"#, ARN);
    let first = put(&bench, &call, &everybody, Some("NO_POLICY")).await.unwrap();
    assert_eq!(put(&bench, &call, &everybody, None).await.unwrap(), first, "the same policy is no new one");
    let (_, message) = refused(put(&bench, &call, &everybody, Some("NO_POLICY")).await);
    assert!(message.ends_with(&format!("but a policy exists with revision id {first}.")), "{message}");
    let indexes = policy(r#"{"AWS":"111111111111"}"#, &format!("{ARN}/index/*"));
    let second = put(&bench, &call, &indexes, Some(&first)).await.unwrap();
    assert_ne!(second, first);
    let (code, message) = refused(put(&bench, &call, &everybody, Some(&first)).await);
    assert_eq!(code, "PolicyNotFoundException");
    assert!(message.contains(&format!("target table songs has revision id {second}")), "{message}");
    let found = bench.dynamo.get_resource_policy(&call, get.clone()).await.unwrap();
    assert_eq!((found.policy, found.revision_id), (Some(indexes), Some(second.clone())));

    let delete = |expected: Option<&str>| model::DeleteResourcePolicyInput {
        resource_arn: ARN.to_owned(),
        expected_revision_id: expected.map(str::to_owned),
    };
    refused(bench.dynamo.delete_resource_policy(&call, delete(Some(&first))).await);
    let gone = bench.dynamo.delete_resource_policy(&call, delete(Some(&second))).await.unwrap();
    assert_eq!(gone.revision_id, Some(second));
    assert_eq!(bench.dynamo.delete_resource_policy(&call, delete(None)).await.unwrap().revision_id, None);
    refused(bench.dynamo.get_resource_policy(&call, get).await);
}

#[tokio::test]
async fn a_policy_that_cannot_hang_there_is_refused() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let call = bench.call();
    let invalid = "One or more parameter values were invalid: ";
    for (text, said) in [
        ("{".to_owned(), "Invalid policy document: "),
        (
            policy(r#"{"AWS":"arn:aws:iam::000000000000:user/nobody"}"#, ARN),
            "Invalid principal in policy document.",
        ),
        (
            policy(r#""*""#, &format!("{ARN}s")),
            "Invalid policy document: The following resource is invalid: ",
        ),
        (
            policy(r#""*""#, ARN).replace("dynamodb:Query", "dynamodb:ListStreams"),
            r#"Invalid policy document: The following action names are invalid: "dynamodb:ListStreams""#,
        ),
        (
            policy(r#""*""#, ARN).replace("Allow", "Deny").replace("GetItem", "PutResourcePolicy"),
            "The new policy would not allow you to update the policy of this resource in the future",
        ),
        (policy(r#""*""#, ARN) + &" ".repeat(20 * 1024), "Policy exceeds the maximum allowed size"),
        (policy(r#"{"AWS":"*"}"#, ARN), "Invalid policy document: it grants public access"),
    ] {
        let (code, message) = refused(put(&bench, &call, &text, None).await);
        assert_eq!(code, "ValidationException");
        assert!(message.starts_with(&format!("{invalid}{said}")), "{message}");
    }
}

#[tokio::test]
async fn a_policy_lets_in_another_account_until_it_goes() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let stranger = Caller {
        account: "111111111111".to_owned(),
        arn: "arn:aws:iam::111111111111:root".to_owned(),
        kind: CallerKind::Root,
        ..bench.call().caller().clone()
    };
    let identity = bench.identity();
    identity.guard("dynamodb", bench.dynamo.as_guard());
    let may = async |resource: &str| {
        let at = bench.call().context.circumstances();
        identity.authorize(&stranger, &at, Wanted::new("dynamodb:Query", resource)).await.is_ok()
    };
    let index = format!("{ARN}/index/by-year");
    assert!(!may(ARN).await && !may(&index).await);
    put(&bench, &bench.call(), &policy(r#"{"AWS":"111111111111"}"#, &index), None).await.unwrap();
    assert!(!may(ARN).await && may(&index).await);
    put(&bench, &bench.call(), &policy(r#"{"AWS":"111111111111"}"#, ARN), None).await.unwrap();
    assert!(may(ARN).await && !may(&index).await);
    let delete = model::DeleteTableInput { table_name: "songs".to_owned() };
    bench.dynamo.delete_table(&bench.call(), delete).await.unwrap();
    assert!(!may(ARN).await);
    bench.table("songs", None).await;
    assert!(!may(ARN).await, "a table made anew has no policy of its former life");
}

#[tokio::test]
async fn no_policy_keeps_the_owners_root_from_removing_it() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let identity = bench.identity();
    identity.guard("dynamodb", bench.dynamo.as_guard());
    let input = model::PutResourcePolicyInput {
        resource_arn: ARN.to_owned(),
        policy: policy(r#""*""#, ARN)
            .replace("Allow", "Deny")
            .replace("GetItem", "PutResourcePolicy")
            .replace("Query", "DeleteResourcePolicy"),
        expected_revision_id: None,
        confirm_remove_self_resource_access: Some(true),
    };
    bench.dynamo.put_resource_policy(&bench.call(), input).await.unwrap();
    let root = identity.root_caller();
    let may = async |action| {
        let at = bench.call().context.circumstances();
        identity.authorize(&root, &at, Wanted::new(action, ARN)).await.is_ok()
    };
    assert!(may("dynamodb:DeleteResourcePolicy").await);
    assert!(!may("dynamodb:PutResourcePolicy").await);
}

#[tokio::test]
async fn a_node_that_hears_of_no_change_decides_by_no_old_policy() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let guard = bench.deaf_node().as_guard();
    let has_policy = async || ResourcePolicies::of(&*guard, ARN).await.unwrap().policy.is_some();
    put(&bench, &bench.call(), &policy(r#"{"AWS":"111111111111"}"#, ARN), None).await.unwrap();
    assert!(has_policy().await);
    let delete =
        model::DeleteResourcePolicyInput { resource_arn: ARN.to_owned(), expected_revision_id: None };
    bench.dynamo.delete_resource_policy(&bench.call(), delete).await.unwrap();
    bench.hand.advance(Duration::from_millis(4_999));
    assert!(has_policy().await, "it is not read at each decision");
    bench.hand.advance(Duration::from_millis(1));
    assert!(!has_policy().await);
}

/// A user of another account, and how its requests look.
async fn user(bench: &Bench, name: &str) -> Caller {
    let identity = bench.identity();
    let user = User { name: name.to_owned(), path: "/".to_owned(), ..User::default() };
    let leave = lambent_api::testing::root_of(&identity, "111111111111").await;
    let principals = identity.principals(&leave);
    let user = principals.create_user(user).await.unwrap();
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    principals.put_user_policy(name, "all", all).await.unwrap();
    let (account, arn) = (user.account.clone(), user.arn());
    Caller {
        account,
        arn,
        user_id: user.id,
        kind: CallerKind::User { name: user.name },
        ..Caller::anonymous()
    }
}

#[tokio::test]
async fn a_policy_means_who_had_the_name_when_it_was_put() {
    let bench = Bench::new().await;
    bench.table("songs", None).await;
    let identity = bench.identity();
    identity.guard("dynamodb", bench.dynamo.as_guard());
    let may = async |caller: &Caller| {
        let at = bench.call().context.circumstances();
        identity.authorize(caller, &at, Wanted::new("dynamodb:Query", ARN)).await.is_ok()
    };
    let shown = async || {
        let get = model::GetResourcePolicyInput { resource_arn: ARN.to_owned() };
        bench.dynamo.get_resource_policy(&bench.call(), get).await.unwrap().policy.unwrap()
    };
    let ann = user(&bench, "ann").await;
    let text = policy(&format!(r#"{{"AWS":"{}"}}"#, ann.arn), ARN);
    let first = put(&bench, &bench.call(), &text, None).await.unwrap();
    assert!(may(&ann).await);
    assert_eq!(shown().await, text, "it is shown as it was given");

    let leave = lambent_api::testing::root_of(&identity, "111111111111").await;
    identity.principals(&leave).delete_user_policy("ann", "all").await.unwrap();
    identity.principals(&leave).delete_user("ann").await.unwrap();
    let other = user(&bench, "ann").await;
    assert_eq!(other.arn, ann.arn);
    assert!(!may(&other).await, "another has the name now");
    let now = shown().await;
    assert!(now.contains(&ann.user_id) && !now.contains(&ann.arn), "{now}");

    assert_ne!(put(&bench, &bench.call(), &text, None).await.unwrap(), first, "it means somebody else now");
    assert!(may(&other).await);
}

#[tokio::test]
async fn a_policy_of_a_stream_stays_when_the_stream_is_turned_off() {
    let bench = Bench::new().await;
    let on = model::StreamSpecification {
        stream_enabled: true,
        stream_view_type: Some("NEW_AND_OLD_IMAGES".into()),
    };
    let arn = bench.table("songs", Some(on)).await.latest_stream_arn.unwrap();
    let text = policy(r#"{"AWS":"111111111111"}"#, &arn)
        .replace("Allow", "Deny")
        .replace(r#""dynamodb:GetItem","dynamodb:Query""#, r#""dynamodb:GetRecords""#);
    let input = model::PutResourcePolicyInput {
        resource_arn: arn.clone(),
        policy: text,
        expected_revision_id: None,
        confirm_remove_self_resource_access: None,
    };
    bench.dynamo.put_resource_policy(&bench.call(), input).await.unwrap();
    let off = model::UpdateTableInput {
        table_name: "songs".to_owned(),
        stream_specification: Some(model::StreamSpecification {
            stream_enabled: false,
            stream_view_type: None,
        }),
        ..Default::default()
    };
    bench.dynamo.update_table(&bench.call(), off).await.unwrap();
    let guard = bench.dynamo.as_guard();
    let facts = ResourcePolicies::of(&*guard, &arn).await.unwrap();
    assert!(facts.policy.is_some(), "its records can be read for a day");
    let delete = model::DeleteTableInput { table_name: "songs".to_owned() };
    bench.dynamo.delete_table(&bench.call(), delete).await.unwrap();
    assert!(ResourcePolicies::of(&*guard, &arn).await.unwrap().policy.is_some());
}

#[tokio::test]
async fn decisions_see_the_tags_of_a_table_and_its_indexes() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput {
        table_name: "songs".to_owned(),
        attribute_definitions: Some(vec![model::AttributeDefinition {
            attribute_name: "id".to_owned(),
            attribute_type: "S".into(),
        }]),
        key_schema: Some(vec![model::KeySchemaElement {
            attribute_name: "id".to_owned(),
            key_type: "HASH".into(),
        }]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        tags: Some(vec![model::Tag { key: "team".to_owned(), value: "red".to_owned() }]),
        ..Default::default()
    };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    let guard = bench.dynamo.as_guard();
    for resource in [ARN.to_owned(), format!("{ARN}/index/any")] {
        let facts = ResourcePolicies::of(&*guard, &resource).await.unwrap();
        assert_eq!(facts.tags, [("team".to_owned(), "red".to_owned())], "{resource}");
    }
}
