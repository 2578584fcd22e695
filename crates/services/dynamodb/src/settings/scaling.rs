//! Auto scaling of replicas: kept and shown as it was said. The only replica is the table itself, and nothing scales it.

use std::collections::BTreeMap;

use lambent_api::Call;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::{
    AutoScalingSettingsDescription, AutoScalingSettingsUpdate, DescribeTableReplicaAutoScalingInput,
    DescribeTableReplicaAutoScalingOutput, IndexStatus, ReplicaAutoScalingDescription,
    ReplicaGlobalSecondaryIndexAutoScalingDescription, ReplicaStatus, TableAutoScalingDescription,
    TableStatus, UpdateTableReplicaAutoScalingInput, UpdateTableReplicaAutoScalingOutput,
};
use serde::{Deserialize, Serialize};

use crate::table::Table;
use crate::{Dynamo, DynamoError, names};

/// Settings of a table, and of its indexes by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    #[serde(default)]
    table: ReadAndWrite,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    indexes: BTreeMap<String, ReadAndWrite>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ReadAndWrite {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Settings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write: Option<Settings>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    disabled: Option<bool>,
    role_arn: Option<String>,
    maximum_units: Option<i64>,
    minimum_units: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Policy {
    name: Option<String>,
    target: f64,
    disable_scale_in: Option<bool>,
    scale_in_cooldown_s: Option<i32>,
    scale_out_cooldown_s: Option<i32>,
}

impl Dynamo {
    pub(crate) async fn describe_table_replica_auto_scaling(
        &self,
        call: &Call,
        input: DescribeTableReplicaAutoScalingInput,
    ) -> Result<DescribeTableReplicaAutoScalingOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let table = self.settings(call, (&place, &name)).await?;
        Ok(DescribeTableReplicaAutoScalingOutput {
            table_auto_scaling_description: Some(describe(&table, TableStatus::Active)),
        })
    }

    pub(crate) async fn update_table_replica_auto_scaling(
        &self,
        call: &Call,
        input: UpdateTableReplicaAutoScalingInput,
    ) -> Result<UpdateTableReplicaAutoScalingOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let input = &input;
        let description = self.change_settings(call, (&place, &name), |table| {
            let mut scaling = table.scaling.take().unwrap_or_default();
            scaling.update(input);
            table.scaling = Some(scaling);
            Ok(describe(table, TableStatus::Updating))
        });
        Ok(UpdateTableReplicaAutoScalingOutput { table_auto_scaling_description: Some(description.await?) })
    }
}

impl Scaling {
    fn update(&mut self, input: &UpdateTableReplicaAutoScalingInput) {
        set(&mut self.table.write, input.provisioned_write_capacity_auto_scaling_update.as_ref());
        for update in input.global_secondary_index_updates.iter().flatten() {
            let index = self.indexes.entry(update.index_name.clone().unwrap_or_default()).or_default();
            set(&mut index.write, update.provisioned_write_capacity_auto_scaling_update.as_ref());
        }
        for replica in input.replica_updates.iter().flatten() {
            set(&mut self.table.read, replica.replica_provisioned_read_capacity_auto_scaling_update.as_ref());
            for update in replica.replica_global_secondary_index_updates.iter().flatten() {
                let index = self.indexes.entry(update.index_name.clone().unwrap_or_default()).or_default();
                set(&mut index.read, update.provisioned_read_capacity_auto_scaling_update.as_ref());
            }
        }
    }
}

fn set(settings: &mut Option<Settings>, update: Option<&AutoScalingSettingsUpdate>) {
    let Some(update) = update else { return };
    let policy = update.scaling_policy_update.as_ref().map(|policy| {
        let tracking = &policy.target_tracking_scaling_policy_configuration;
        Policy {
            name: policy.policy_name.clone(),
            target: tracking.target_value,
            disable_scale_in: tracking.disable_scale_in,
            scale_in_cooldown_s: tracking.scale_in_cooldown,
            scale_out_cooldown_s: tracking.scale_out_cooldown,
        }
    });
    *settings = Some(Settings {
        disabled: update.auto_scaling_disabled,
        role_arn: update.auto_scaling_role_arn.clone(),
        maximum_units: update.maximum_units,
        minimum_units: update.minimum_units,
        policy,
    });
}

fn describe(table: &Table, status: TableStatus) -> TableAutoScalingDescription {
    let scaling = table.scaling.clone().unwrap_or_default();
    let indexes = table.globals.iter().map(|index| {
        let settings = scaling.indexes.get(&index.name).cloned().unwrap_or_default();
        ReplicaGlobalSecondaryIndexAutoScalingDescription {
            index_name: Some(index.name.clone()),
            index_status: Some(IndexStatus::Active),
            provisioned_read_capacity_auto_scaling_settings: settings.read.map(shown),
            provisioned_write_capacity_auto_scaling_settings: settings.write.map(shown),
        }
    });
    let replica = ReplicaAutoScalingDescription {
        global_secondary_indexes: Some(indexes.collect()),
        region_name: Some(table.place.region.clone()),
        replica_provisioned_read_capacity_auto_scaling_settings: scaling.table.read.map(shown),
        replica_provisioned_write_capacity_auto_scaling_settings: scaling.table.write.map(shown),
        replica_status: Some(ReplicaStatus::Active),
    };
    TableAutoScalingDescription {
        replicas: Some(vec![replica]),
        table_name: Some(table.name.clone()),
        table_status: Some(status),
    }
}

fn shown(settings: Settings) -> AutoScalingSettingsDescription {
    let policy = settings.policy.map(|policy| model::AutoScalingPolicyDescription {
        policy_name: policy.name,
        target_tracking_scaling_policy_configuration: Some(
            model::AutoScalingTargetTrackingScalingPolicyConfigurationDescription {
                disable_scale_in: policy.disable_scale_in,
                scale_in_cooldown: policy.scale_in_cooldown_s,
                scale_out_cooldown: policy.scale_out_cooldown_s,
                target_value: policy.target,
            },
        ),
    });
    AutoScalingSettingsDescription {
        auto_scaling_disabled: settings.disabled,
        auto_scaling_role_arn: settings.role_arn,
        maximum_units: settings.maximum_units,
        minimum_units: settings.minimum_units,
        scaling_policies: policy.map(|policy| vec![policy]),
    }
}
