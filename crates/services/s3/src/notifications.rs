//! Notification rules: PutBucketNotificationConfiguration, GetBucketNotificationConfiguration.
//! Source: Amazon S3 User Guide, "Amazon S3 Event Notifications".

use lambent_api::{ApiError, Call, not_implemented};
use lambent_base::Arn;
use lambent_bus::ports::{Caller, PortError};
use lambent_model_s3::{
    Event, FilterRule, FilterRuleName, GetBucketNotificationConfigurationRequest,
    LambdaFunctionConfiguration, NotificationConfiguration, NotificationConfigurationFilter,
    PutBucketNotificationConfigurationRequest, S3KeyFilter,
};
use lambent_store::{Txn, delete_large, get_large, put_large};
use lambent_wire::Empty;
use serde::{Deserialize, Serialize};

use crate::errors::{self, S3Error};
use crate::rows::{self, BucketRow};
use crate::service::S3;
use crate::{buckets, keys, limits, names};

/// The principal in whose name a bucket runs functions.
pub(crate) const PRINCIPAL: &str = "s3.amazonaws.com";

/// What happens to objects here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventName {
    CreatedByPut,
    CreatedByCopy,
    CreatedByCompletion,
    Removed,
}

impl EventName {
    /// As records say it; rules write `s3:` before it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CreatedByPut => "ObjectCreated:Put",
            Self::CreatedByCopy => "ObjectCreated:Copy",
            Self::CreatedByCompletion => "ObjectCreated:CompleteMultipartUpload",
            Self::Removed => "ObjectRemoved:Delete",
        }
    }
}

/// One rule, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub id: String,
    /// A function's ARN.
    pub target: String,
    /// As `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl Rule {
    /// Whether the rule wants to hear of this.
    pub(crate) fn wants(&self, event: EventName, key: &str) -> bool {
        let filter = |part: &Option<String>, holds: fn(&str, &str) -> bool| {
            part.as_deref().is_none_or(|part| holds(key, part))
        };
        self.events.iter().any(|pattern| matches(pattern, event))
            && filter(&self.prefix, |key, prefix| key.starts_with(prefix))
            && filter(&self.suffix, |key, suffix| key.ends_with(suffix))
    }

    /// Whether one object's event could meet both rules.
    fn overlaps(&self, other: &Self) -> bool {
        let events = self.events.iter().any(|one| other.events.iter().any(|two| patterns_meet(one, two)));
        let (prefixes, suffixes) = (ends(&self.prefix, &other.prefix), ends(&self.suffix, &other.suffix));
        events
            && (prefixes.0.starts_with(prefixes.1) || prefixes.1.starts_with(prefixes.0))
            && (suffixes.0.ends_with(suffixes.1) || suffixes.1.ends_with(suffixes.0))
    }

    fn has_filter(&self) -> bool {
        self.prefix.is_some() || self.suffix.is_some()
    }
}

impl S3 {
    pub(crate) async fn put_bucket_notification_configuration(
        &self,
        call: &Call,
        input: PutBucketNotificationConfigurationRequest,
    ) -> Result<Empty, S3Error> {
        let name = input.bucket.as_str();
        let expected = input.expected_bucket_owner.as_deref();
        let bucket = self.read_bucket(call, name, expected).await?;
        let rules = &self.rules(input.notification_configuration, &bucket)?;
        if input.skip_destination_validation != Some(true) {
            self.check_destinations(name, &bucket, rules).await?;
        }
        self.db(call).run(|txn| async move { store_rules(&txn, call, name, expected, rules).await }).await?;
        Ok(Empty {})
    }

    pub(crate) async fn get_bucket_notification_configuration(
        &self,
        call: &Call,
        input: GetBucketNotificationConfigurationRequest,
    ) -> Result<NotificationConfiguration, S3Error> {
        let (name, expected) = (input.bucket.as_str(), input.expected_bucket_owner.as_deref());
        let rules = self
            .db(call)
            .read(|txn| async move {
                let bucket = buckets::bucket(&txn, call, name, expected).await?;
                rules_of(&txn, &bucket, name).await
            })
            .await?;
        let shown: Vec<_> = rules.into_iter().map(shown).collect();
        Ok(NotificationConfiguration {
            lambda_function_configurations: Some(shown).filter(|shown| !shown.is_empty()),
            ..NotificationConfiguration::default()
        })
    }

    /// The rules of a configuration, checked against AWS's constraints and each other.
    fn rules(&self, given: NotificationConfiguration, bucket: &BucketRow) -> Result<Vec<Rule>, ApiError> {
        if given.queue_configurations.is_some_and(|queues| !queues.is_empty()) {
            return Err(not_implemented("notifications to Amazon SQS queues"));
        }
        if given.topic_configurations.is_some_and(|topics| !topics.is_empty()) {
            return Err(not_implemented("notifications to Amazon SNS topics"));
        }
        if given.event_bridge_configuration.is_some() {
            return Err(not_implemented("notifications to Amazon EventBridge"));
        }
        let given = given.lambda_function_configurations.unwrap_or_default();
        if given.len() > limits::NOTIFICATION_RULES_MAX {
            return Err(errors::malformed_xml());
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(given.len());
        for configuration in given {
            let rule = self.rule(configuration, bucket)?;
            for other in &rules {
                check_pair(&rule, other)?;
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    fn rule(&self, given: LambdaFunctionConfiguration, bucket: &BucketRow) -> Result<Rule, ApiError> {
        let target = given.lambda_function_arn;
        let arn = target.parse::<Arn>().ok().filter(|arn| {
            arn.service == "lambda"
                && arn.resource.starts_with("function:")
                && arn.resource.len() > "function:".len()
        });
        let Some(arn) = arn else {
            return Err(errors::invalid_argument("The ARN could not be parsed", "CloudFunction", target));
        };
        if arn.region != bucket.region {
            let message =
                "The notification destination service region is not valid for the bucket location constraint";
            return Err(errors::invalid_argument(message, "CloudFunction", target));
        }
        let id = given.id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.random().uuid());
        if id.chars().count() > limits::NOTIFICATION_ID_MAX_CHARS {
            return Err(errors::malformed_xml());
        }
        if given.events.is_empty() {
            return Err(errors::malformed_xml());
        }
        if let Some(Event::Unknown(unknown)) =
            given.events.iter().find(|event| matches!(event, Event::Unknown(_)))
        {
            let message = "The event is not supported for notifications";
            return Err(errors::invalid_argument(message, "Event", unknown));
        }
        let events = given.events.iter().map(|event| event.as_str().to_owned()).collect();
        let filters = given.filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules);
        let (prefix, suffix) = filter_parts(filters.unwrap_or_default())?;
        Ok(Rule { id, target, events, prefix, suffix })
    }

    /// Errors: `InvalidArgument` with one numbered pair of members for each destination that does not take events
    /// of this bucket.
    async fn check_destinations(
        &self,
        name: &str,
        bucket: &BucketRow,
        rules: &[Rule],
    ) -> Result<(), S3Error> {
        let mut error = ApiError::client(
            "InvalidArgument",
            "Unable to validate the following destination configurations",
        );
        let mut numbered = NUMBERED.into_iter();
        for rule in rules {
            if self.may_invoke(name, bucket, rule).await? {
                continue;
            }
            let Some((argument, value)) = numbered.next() else { break };
            let text = format!("Not authorized to invoke function [{}]", rule.target);
            error = error.with(argument, format!("{}, null", rule.target)).with(value, text);
        }
        if error.members.is_empty() { Ok(()) } else { Err(error.into()) }
    }

    async fn may_invoke(&self, name: &str, bucket: &BucketRow, rule: &Rule) -> Result<bool, S3Error> {
        let unreadable = |source: lambent_base::ArnError| PortError(source.to_string());
        let function: Arn = rule.target.parse().map_err(unreadable)?;
        let caller = caller(name, bucket).map_err(unreadable)?;
        Ok(self.functions().may_invoke(&function, &caller).await?)
    }
}

/// In whose name the functions of a bucket's rules run.
pub(crate) fn caller(bucket_name: &str, bucket: &BucketRow) -> Result<Caller, lambent_base::ArnError> {
    Ok(Caller::Service {
        principal: PRINCIPAL.to_owned(),
        source: names::bucket_arn(bucket_name).parse()?,
        source_account: bucket.owner.clone(),
    })
}

/// The rules of a bucket; a commit of `txn` depends on them.
pub(crate) async fn rules_of(txn: &Txn, bucket: &BucketRow, name: &str) -> Result<Vec<Rule>, S3Error> {
    if !bucket.notifies {
        return Ok(Vec::new());
    }
    let key = keys::notify(name);
    match get_large(txn, &key).await? {
        Some(row) => rows::decode(&key, &row),
        None => Ok(Vec::new()),
    }
}

async fn store_rules(
    txn: &Txn,
    call: &Call,
    name: &str,
    expected: Option<&str>,
    rules: &[Rule],
) -> Result<(), S3Error> {
    let mut bucket = buckets::bucket(txn, call, name, expected).await?;
    bucket.notifies = !rules.is_empty();
    txn.put(&keys::bucket(name), &rows::encode(&bucket)?);
    if rules.is_empty() {
        delete_large(txn, &keys::notify(name)).await?;
    } else {
        put_large(txn, &keys::notify(name), &rows::encode(&rules)?).await?;
    }
    Ok(())
}

/// The members of an error about several destinations: the rest are left out.
const NUMBERED: [(&str, &str); 10] = [
    ("ArgumentName1", "ArgumentValue1"),
    ("ArgumentName2", "ArgumentValue2"),
    ("ArgumentName3", "ArgumentValue3"),
    ("ArgumentName4", "ArgumentValue4"),
    ("ArgumentName5", "ArgumentValue5"),
    ("ArgumentName6", "ArgumentValue6"),
    ("ArgumentName7", "ArgumentValue7"),
    ("ArgumentName8", "ArgumentValue8"),
    ("ArgumentName9", "ArgumentValue9"),
    ("ArgumentName10", "ArgumentValue10"),
];

fn check_pair(rule: &Rule, other: &Rule) -> Result<(), ApiError> {
    if rule.id == other.id {
        let message = "Same ID used for multiple configurations. IDs must be unique";
        return Err(ApiError::client("InvalidArgument", message));
    }
    if !rule.overlaps(other) {
        return Ok(());
    }
    let message = if rule.has_filter() && other.has_filter() {
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
         overlapping for the same event type."
    } else {
        "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    };
    Err(ApiError::client("InvalidArgument", message))
}

fn filter_parts(given: Vec<FilterRule>) -> Result<(Option<String>, Option<String>), ApiError> {
    const NAME: &str = "FilterRule.Name";
    let (mut prefix, mut suffix) = (None, None);
    for rule in given {
        let (Some(name), Some(value)) = (rule.name, rule.value) else { return Err(errors::malformed_xml()) };
        let place = match name.as_str().to_ascii_lowercase().as_str() {
            "prefix" => &mut prefix,
            "suffix" => &mut suffix,
            _ => {
                let message = "filter rule name must be either prefix or suffix";
                return Err(errors::invalid_argument(message, NAME, name.as_str()));
            }
        };
        if value.len() > limits::KEY_MAX_BYTES {
            let message =
                format!("Size of filter rule value cannot exceed {} bytes in UTF-8", limits::KEY_MAX_BYTES);
            return Err(errors::invalid_argument(message, "FilterRule.Value", value));
        }
        if place.replace(value).is_some() {
            let message =
                format!("Cannot specify more than one {} rule in a filter.", name.as_str().to_lowercase());
            return Err(errors::invalid_argument(message, NAME, name.as_str()));
        }
    }
    Ok((prefix, suffix))
}

fn shown(rule: Rule) -> LambdaFunctionConfiguration {
    let part = |name: &str, value: String| FilterRule {
        // S3 shows the names with a capital, whatever it was given.
        name: Some(FilterRuleName::Unknown(name.to_owned())),
        value: Some(value),
    };
    let parts: Vec<_> = rule
        .prefix
        .map(|prefix| part("Prefix", prefix))
        .into_iter()
        .chain(rule.suffix.map(|suffix| part("Suffix", suffix)))
        .collect();
    let filter = (!parts.is_empty())
        .then_some(NotificationConfigurationFilter { key: Some(S3KeyFilter { filter_rules: Some(parts) }) });
    LambdaFunctionConfiguration {
        events: rule.events.iter().map(|event| Event::from(event.as_str())).collect(),
        filter,
        id: Some(rule.id),
        lambda_function_arn: rule.target,
    }
}

fn matches(pattern: &str, event: EventName) -> bool {
    let Some(pattern) = pattern.strip_prefix("s3:") else { return false };
    match pattern.strip_suffix('*') {
        Some(beginning) => event.as_str().starts_with(beginning),
        None => event.as_str() == pattern,
    }
}

fn patterns_meet(one: &str, two: &str) -> bool {
    match (one.strip_suffix('*'), two.strip_suffix('*')) {
        (None, None) => one == two,
        (Some(beginning), None) => two.starts_with(beginning),
        (None, Some(beginning)) => one.starts_with(beginning),
        (Some(first), Some(second)) => first.starts_with(second) || second.starts_with(first),
    }
}

fn ends<'a>(one: &'a Option<String>, two: &'a Option<String>) -> (&'a str, &'a str) {
    (one.as_deref().unwrap_or_default(), two.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(events: &[&str], prefix: Option<&str>, suffix: Option<&str>) -> Rule {
        Rule {
            id: format!("{events:?}{prefix:?}{suffix:?}"),
            target: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
            suffix: suffix.map(str::to_owned),
        }
    }

    #[test]
    fn rules_want_what_they_name() {
        let any = rule(&["s3:ObjectCreated:*"], Some("in/"), Some(".jpg"));
        assert!(any.wants(EventName::CreatedByPut, "in/a.jpg"));
        assert!(any.wants(EventName::CreatedByCompletion, "in/.jpg"));
        assert!(!any.wants(EventName::Removed, "in/a.jpg"));
        assert!(!any.wants(EventName::CreatedByPut, "out/a.jpg"));
        assert!(!any.wants(EventName::CreatedByPut, "in/a.png"));
        let exact = rule(&["s3:ObjectCreated:Copy", "s3:ObjectRemoved:Delete"], None, None);
        assert!(exact.wants(EventName::CreatedByCopy, "x"));
        assert!(!exact.wants(EventName::CreatedByPut, "x"));
    }

    #[test]
    fn overlapping_rules_are_found() {
        let put = rule(&["s3:ObjectCreated:Put"], Some("a/"), Some(".jpg"));
        let cases = [
            (rule(&["s3:ObjectCreated:*"], None, None), true),
            (rule(&["s3:ObjectCreated:*"], Some("a/b"), Some("jpg")), true),
            (rule(&["s3:ObjectCreated:Copy"], Some("a/"), Some(".jpg")), false),
            (rule(&["s3:ObjectCreated:*"], Some("b/"), None), false),
            (rule(&["s3:ObjectCreated:*"], Some("a/"), Some(".png")), false),
            (rule(&["s3:ObjectRemoved:*"], None, None), false),
        ];
        for (other, expected) in cases {
            assert_eq!(put.overlaps(&other), expected, "{other:?}");
            assert_eq!(other.overlaps(&put), expected, "{other:?}");
        }
    }

    #[test]
    fn filters_need_name_and_value() {
        let part = |name: Option<&str>, value: Option<&str>| FilterRule {
            name: name.map(FilterRuleName::from),
            value: value.map(str::to_owned),
        };
        let both =
            filter_parts(vec![part(Some("Prefix"), Some("a")), part(Some("suffix"), Some(""))]).unwrap();
        assert_eq!(both, (Some("a".to_owned()), Some(String::new())));
        assert_eq!(filter_parts(vec![part(Some("prefix"), None)]).unwrap_err().code, "MalformedXML");
        assert_eq!(filter_parts(vec![part(None, Some("a"))]).unwrap_err().code, "MalformedXML");
        let error = filter_parts(vec![part(Some("INVALID"), Some("a"))]).unwrap_err();
        assert_eq!(error.members[1], ("ArgumentValue", "INVALID".to_owned()));
        let twice = vec![part(Some("prefix"), Some("a")), part(Some("PREFIX"), Some("b"))];
        assert!(filter_parts(twice).unwrap_err().message.contains("more than one prefix"));
    }
}
