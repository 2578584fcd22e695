//! Log groups.

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_logs::errors::{
    invalid_parameter_exception, resource_already_exists_exception, validation_exception,
};
use lambent_model_logs::{
    CreateLogGroupRequest, DeleteLogGroupRequest, DescribeLogGroupsRequest, DescribeLogGroupsResponse,
    LogGroup, LogGroupClass, PutRetentionPolicyRequest,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::Empty;

use crate::rows::{self, GroupRow};
use crate::tokens;
use crate::{Logs, LogsError, keys, names};

/// What retentionInDays may be. Source: API reference, PutRetentionPolicy.
const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// The most groups or streams that one page lists, and how many it lists unless told.
pub(crate) const LIST_MAX: usize = 50;
/// How many rows one scan for groups fetches.
const SCAN_ROWS: usize = 200;

impl Logs {
    pub(crate) async fn create_log_group(
        &self,
        call: &Call,
        input: CreateLogGroupRequest,
    ) -> Result<Empty, LogsError> {
        let place = call.place();
        if input.log_group_name.to_ascii_lowercase().starts_with("aws/") {
            return Err(
                invalid_parameter_exception("Log groups starting with AWS/ are reserved for AWS.").into()
            );
        }
        let mut row = GroupRow::new(self.random.u64(), self.clock.unix_ms());
        if let Some(class) = &input.log_group_class {
            class.as_str().clone_into(&mut row.class);
        }
        row.kms_key_id = input.kms_key_id;
        row.deletion_protection = input.deletion_protection_enabled.unwrap_or(false);
        row.tags = input.tags.unwrap_or_default();
        let (name, row) = (&input.log_group_name, &row);
        self.rows
            .of(call)
            .run(|txn| async move {
                if rows::find_group(&txn, place, name).await?.is_some() {
                    return Err(
                        resource_already_exists_exception("The specified log group already exists").into()
                    );
                }
                txn.put(&keys::group(place, name), &rows::encode(row));
                Ok(Empty {})
            })
            .await
    }

    /// The group is gone at once; its streams and events are cleared by the sweeper.
    pub(crate) async fn delete_log_group(
        &self,
        call: &Call,
        input: DeleteLogGroupRequest,
    ) -> Result<Empty, LogsError> {
        let place = call.place();
        let name = &input.log_group_name;
        self.rows
            .of(call)
            .run(|txn| async move {
                let group = rows::group(&txn, place, name).await?;
                if group.deletion_protection {
                    let message =
                        "The specified log group has deletion protection enabled and cannot be deleted.";
                    return Err(validation_exception(message).into());
                }
                txn.delete(&keys::group(place, name));
                txn.delete(&keys::retained(group.id));
                txn.put(&keys::dead(group.id), b"");
                txn.on_commit(keys::SWEEP_TOPIC);
                Ok(Empty {})
            })
            .await
    }

    pub(crate) async fn put_retention_policy(
        &self,
        call: &Call,
        input: PutRetentionPolicyRequest,
    ) -> Result<Empty, LogsError> {
        let place = call.place();
        let days = input.retention_in_days;
        if !RETENTION_DAYS.contains(&days) {
            let valid: Vec<String> = RETENTION_DAYS.iter().map(i32::to_string).collect();
            return Err(invalid_parameter_exception(format!(
                "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: \
                 Member must satisfy enum value set: [{}]",
                valid.join(", ")
            ))
            .into());
        }
        let name = &input.log_group_name;
        self.rows
            .of(call)
            .run(|txn| async move {
                let mut group = rows::group(&txn, place, name).await?;
                group.retention_days = Some(days);
                txn.put(&keys::group(place, name), &rows::encode(&group));
                txn.put(&keys::retained(group.id), &days.cast_unsigned().to_be_bytes());
                txn.on_commit(keys::SWEEP_TOPIC);
                Ok(Empty {})
            })
            .await
    }

    pub(crate) async fn describe_log_groups(
        &self,
        call: &Call,
        input: DescribeLogGroupsRequest,
    ) -> Result<DescribeLogGroupsResponse, LogsError> {
        let place = call.place();
        check_describe(&input)?;
        let ours =
            input.account_identifiers.as_ref().is_none_or(|accounts| accounts.contains(&place.account));
        let after = input.next_token.as_deref().map(tokens::read_name_token).transpose()?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_MAX);
        let identifiers = input.log_group_identifiers.unwrap_or_default().into_iter();
        let identifiers =
            identifiers.map(|one| names::named_by(place, one)).collect::<Result<Vec<_>, _>>()?;
        let wanted = &Wanted {
            prefix: input.log_group_name_prefix.unwrap_or_default(),
            pattern: input.log_group_name_pattern,
            class: input.log_group_class,
            identifiers,
        };
        let after = after.as_deref();
        let (groups, more) = if ours {
            self.rows
                .of(call)
                .read(|txn| async move { list(&txn, place, wanted, after, limit).await })
                .await?
        } else {
            (Vec::new(), false)
        };
        let last = groups.last().filter(|_| more).and_then(|group| group.log_group_name.as_ref());
        let next_token = last.map(|name| tokens::name_token(name.as_bytes()));
        Ok(DescribeLogGroupsResponse { log_groups: Some(groups), next_token })
    }
}

/// Which groups DescribeLogGroups lists.
struct Wanted {
    prefix: String,
    pattern: Option<String>,
    class: Option<LogGroupClass>,
    identifiers: Vec<String>,
}

impl Wanted {
    fn includes(&self, name: &str, row: &GroupRow) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| name.contains(pattern.as_str()))
            && self.class.as_ref().is_none_or(|class| class.as_str() == row.class)
            && (self.identifiers.is_empty() || self.identifiers.iter().any(|one| one == name))
    }
}

fn check_describe(input: &DescribeLogGroupsRequest) -> Result<(), LogsError> {
    let (prefix, pattern) = (input.log_group_name_prefix.is_some(), input.log_group_name_pattern.is_some());
    let message = match (prefix, pattern, input.log_group_identifiers.is_some()) {
        (true, true, _) => {
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        }
        (true, _, true) => "LogGroup name prefix and LogGroup identifiers are mutually exclusive parameters.",
        (_, true, true) => {
            "LogGroup name pattern and LogGroup identifiers are mutually exclusive parameters."
        }
        _ => return Ok(()),
    };
    Err(invalid_parameter_exception(message).into())
}

/// The groups after a name, and whether there are more.
async fn list(
    txn: &Txn,
    place: &Place,
    wanted: &Wanted,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<(Vec<LogGroup>, bool), LogsError> {
    let mut range = keys::groups(place, &wanted.prefix);
    if let Some(after) = after {
        let name = std::str::from_utf8(after).map_err(|_| tokens::invalid())?;
        range = range.after(&keys::group(place, name));
    }
    let mut groups = Vec::new();
    let mut left = Some(range);
    while let Some(range) = left {
        let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
        for (key, value) in &page.rows {
            let name = keys::group_name(place, key)?;
            let row: GroupRow = rows::decode("a log group", value)?;
            if !wanted.includes(&name, &row) {
                continue;
            }
            if groups.len() == limit {
                return Ok((groups, true));
            }
            groups.push(describe(txn, place, name, row, wanted.pattern.is_some()).await?);
        }
        left = range.rest(&page, false);
    }
    Ok((groups, false))
}

/// AWS answers searches by pattern from an index that lacks stored bytes and deletion protection.
async fn describe(
    txn: &Txn,
    place: &Place,
    name: String,
    row: GroupRow,
    by_pattern: bool,
) -> Result<LogGroup, LogsError> {
    let stored = if by_pattern {
        None
    } else {
        let counter = txn.get_snapshot(&keys::bytes(row.id)).await?;
        let bytes = lambent_store::engine::read_counter(counter.as_deref())?;
        Some(i64::from_le_bytes(bytes).max(0))
    };
    let arn = names::group_arn(place, &name);
    Ok(LogGroup {
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        creation_time: Some(row.created_ms),
        deletion_protection_enabled: (!by_pattern).then_some(row.deletion_protection),
        kms_key_id: row.kms_key_id,
        log_group_class: Some(LogGroupClass::from(row.class.as_str())),
        log_group_name: Some(name),
        metric_filter_count: Some(0),
        retention_in_days: row.retention_days,
        stored_bytes: stored,
        ..LogGroup::default()
    })
}
