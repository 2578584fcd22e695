//! Backups and restores, exports and imports.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon DynamoDB".

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::Dynamo;
use crate::names::resource;
use crate::wanted;

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        plain ops::UpdateContinuousBackups => update_continuous_backups, "dynamodb:UpdateContinuousBackups",
            |input, place| resource(place, &input.table_name);
        plain ops::DescribeContinuousBackups => describe_continuous_backups, "dynamodb:DescribeContinuousBackups",
            |input, place| resource(place, &input.table_name);
        known ops::RestoreTableToPointInTime => restore_table_to_point_in_time, wanted::restore_table_to_point_in_time;
        plain ops::CreateBackup => create_backup, "dynamodb:CreateBackup", |input, place| resource(place, &input.table_name);
        plain ops::DescribeBackup => describe_backup, "dynamodb:DescribeBackup", |input, _place| input.backup_arn.clone();
        plain ops::DeleteBackup => delete_backup, "dynamodb:DeleteBackup", |input, _place| input.backup_arn.clone();
        plain ops::ListBackups => list_backups, "dynamodb:ListBackups", |_input, _place| "*".to_owned();
        known ops::RestoreTableFromBackup => restore_table_from_backup, wanted::restore_table_from_backup;
        plain ops::ExportTableToPointInTime => export_table_to_point_in_time, "dynamodb:ExportTableToPointInTime",
            |input, place| resource(place, &input.table_arn);
        plain ops::DescribeExport => describe_export, "dynamodb:DescribeExport", |input, _place| input.export_arn.clone();
        plain ops::ListExports => list_exports, "dynamodb:ListExports", |_input, _place| "*".to_owned();
        plain ops::ImportTable => import_table, wanted::import_table;
        plain ops::DescribeImport => describe_import, "dynamodb:DescribeImport", |input, _place| input.import_arn.clone();
        plain ops::ListImports => list_imports, "dynamodb:ListImports", |_input, _place| "*".to_owned();
    });
}
