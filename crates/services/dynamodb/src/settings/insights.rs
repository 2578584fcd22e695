//! CloudWatch Contributor Insights: on or off, as it was said. Nothing is measured by it.

use lambent_api::Call;
use lambent_model_dynamodb::errors::resource_not_found_exception;
use lambent_model_dynamodb::{
    ContributorInsightsAction, ContributorInsightsMode, ContributorInsightsStatus,
    ContributorInsightsSummary, DescribeContributorInsightsInput, DescribeContributorInsightsOutput,
    ListContributorInsightsInput, ListContributorInsightsOutput, UpdateContributorInsightsInput,
    UpdateContributorInsightsOutput,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::Timestamp;
use serde::{Deserialize, Serialize};

use crate::table::Table;
use crate::{Dynamo, DynamoError, keys, names, rows};

/// How many summaries a page has, and how many unless told.
const LIST_MAX: usize = 100;
/// How many tables one scan reads.
const SCAN_ROWS: usize = 100;
/// The rules that AWS makes for a table with a sort key: by partition key and by both, of access and of throttling.
const RULES: [&str; 4] = ["PKC", "SKC", "PKT", "SKT"];

/// Contributor insights of a table or an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Insights {
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    changed_ms: i64,
}

impl Insights {
    fn status(&self) -> ContributorInsightsStatus {
        match self.enabled {
            true => ContributorInsightsStatus::Enabled,
            false => ContributorInsightsStatus::Disabled,
        }
    }

    fn mode(&self) -> Option<ContributorInsightsMode> {
        self.mode.as_deref().map(ContributorInsightsMode::from)
    }
}

impl Dynamo {
    pub(crate) async fn update_contributor_insights(
        &self,
        call: &Call,
        input: UpdateContributorInsightsInput,
    ) -> Result<UpdateContributorInsightsOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let (index, mode) = (&input.index_name, &input.contributor_insights_mode);
        let enabled = input.contributor_insights_action == ContributorInsightsAction::Enable;
        let changed_ms = self.clock.unix_ms();
        self.change_settings(call, (&place, &name), |table| {
            expect_index(table, index.as_deref())?;
            let mode = mode.as_ref().filter(|_| enabled).map(|mode| mode.as_str().to_owned());
            table.insights.insert(index.clone().unwrap_or_default(), Insights { enabled, mode, changed_ms });
            Ok(())
        })
        .await?;
        Ok(UpdateContributorInsightsOutput {
            contributor_insights_mode: input.contributor_insights_mode,
            contributor_insights_status: Some(match enabled {
                true => ContributorInsightsStatus::Enabling,
                false => ContributorInsightsStatus::Disabling,
            }),
            index_name: input.index_name,
            table_name: Some(name.into_owned()),
        })
    }

    pub(crate) async fn describe_contributor_insights(
        &self,
        call: &Call,
        input: DescribeContributorInsightsInput,
    ) -> Result<DescribeContributorInsightsOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let table = self.settings(call, (&place, &name)).await?;
        expect_index(&table, input.index_name.as_deref())?;
        let insights = table.insights.get(input.index_name.as_deref().unwrap_or_default());
        let rules = insights.filter(|insights| insights.enabled).map(|insights| {
            RULES
                .map(|rule| format!("DynamoDBContributorInsights-{rule}-{name}-{}", insights.changed_ms))
                .to_vec()
        });
        Ok(DescribeContributorInsightsOutput {
            contributor_insights_mode: insights.and_then(Insights::mode),
            contributor_insights_rule_list: rules,
            contributor_insights_status: Some(
                insights.map_or(ContributorInsightsStatus::Disabled, Insights::status),
            ),
            failure_exception: None,
            index_name: input.index_name,
            last_update_date_time: insights.map(|insights| Timestamp::from_ms(insights.changed_ms)),
            table_name: Some(name.into_owned()),
        })
    }

    pub(crate) async fn list_contributor_insights(
        &self,
        call: &Call,
        input: ListContributorInsightsInput,
    ) -> Result<ListContributorInsightsOutput, DynamoError> {
        let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(LIST_MAX);
        let limit = limit.clamp(1, LIST_MAX);
        let summaries = match &input.table_name {
            Some(table) => {
                let (place, name) = names::table_ref(call, table)?;
                summaries(&*self.settings(call, (&place, &name)).await?)
            }
            None => self.all_insights(call).await?,
        };
        let after = input.next_token.as_deref().and_then(|token| token.split_once('/'));
        let place_of = |one: &ContributorInsightsSummary| {
            (one.table_name.clone().unwrap_or_default(), one.index_name.clone().unwrap_or_default())
        };
        let mut left = summaries.into_iter().filter(|one| {
            let (table, index) = place_of(one);
            after.is_none_or(|after| (table.as_str(), index.as_str()) > after)
        });
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let next_token = left.next().and_then(|_| page.last()).map(|last| {
            let (table, index) = place_of(last);
            format!("{table}/{index}")
        });
        Ok(ListContributorInsightsOutput { contributor_insights_summaries: Some(page), next_token })
    }

    async fn all_insights(&self, call: &Call) -> Result<Vec<ContributorInsightsSummary>, DynamoError> {
        let list = |txn: Txn| async move {
            let mut found = Vec::new();
            let mut left = Some(keys::tables(call.place()));
            while let Some(range) = left {
                let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
                for (_, row) in &page.rows {
                    found.extend(summaries(&rows::decode::<Table>("a table", row)?));
                }
                left = range.rest(&page, false);
            }
            Ok::<_, DynamoError>(found)
        };
        self.rows.of(call).read(list).await
    }
}

fn summaries(table: &Table) -> Vec<ContributorInsightsSummary> {
    let summary = |(index, insights): (&String, &Insights)| ContributorInsightsSummary {
        contributor_insights_mode: insights.mode(),
        contributor_insights_status: Some(insights.status()),
        index_name: (!index.is_empty()).then(|| index.clone()),
        table_name: Some(table.name.clone()),
    };
    table.insights.iter().map(summary).collect()
}

fn expect_index(table: &Table, index: Option<&str>) -> Result<(), DynamoError> {
    match index {
        Some(index) if table.index(index).is_none() => {
            Err(resource_not_found_exception("Requested resource not found").into())
        }
        _ => Ok(()),
    }
}
