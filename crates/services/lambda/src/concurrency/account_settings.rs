//! GetAccountSettings: what the account may have, and has. Source: Lambda API Reference, "GetAccountSettings".

use std::sync::Arc;

use lambent_api::Call;
use lambent_model_lambda::{
    AccountLimit, AccountUsage, GetAccountSettingsRequest, GetAccountSettingsResponse,
};
use lambent_store::ScanOptions;

use crate::concurrency::{Shares, all_rows, shown};
use crate::errors::LambdaError;
use crate::lambda::Lambda;
use crate::limits::{TOTAL_CODE_BYTES_MAX, UNZIPPED_BYTES_LIMIT, WORK_PAGE_ROWS, ZIP_BYTES_MAX};
use crate::{keys, rows};

impl Lambda {
    pub(crate) async fn get_account_settings(
        self: &Arc<Self>,
        call: &Call,
        _input: GetAccountSettingsRequest,
    ) -> Result<GetAccountSettingsResponse, LambdaError> {
        let (place, limit) = (call.place(), self.parts.account_concurrency);
        let read = self.db(call).read(|txn| async move {
            let (mut functions, mut bytes) = (0_i64, 0_u64);
            let mut left = Some(keys::functions(place).range());
            while let Some(range) = left {
                let page = txn.scan(&range, ScanOptions::rows(WORK_PAGE_ROWS)).await?;
                left = range.rest(&page, false);
                for (key, row) in page.rows {
                    let row = rows::load_function(&txn, &key, row).await?;
                    functions += 1;
                    bytes += row.settings.code.size;
                    for (_, version) in all_rows(&txn, keys::versions(place, &row.name).range()).await? {
                        bytes += rows::read_version(&version)?.settings.code.size;
                    }
                }
            }
            for (_, layer) in all_rows(&txn, keys::layers_in(place).range()).await? {
                bytes += rows::read::<rows::LayerVersionRow>(&layer)?.code.size;
            }
            let shares = Shares::read(&txn, place, limit).await?;
            Ok::<_, LambdaError>((functions, bytes, shares))
        });
        let (functions, bytes, shares) = read.await?;
        let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok(GetAccountSettingsResponse {
            account_limit: Some(AccountLimit {
                code_size_unzipped: Some(whole(UNZIPPED_BYTES_LIMIT)),
                code_size_zipped: Some(whole(ZIP_BYTES_MAX as u64)),
                concurrent_executions: Some(shown(limit)),
                total_code_size: Some(whole(TOTAL_CODE_BYTES_MAX)),
                unreserved_concurrent_executions: Some(shown(shares.unreserved())),
            }),
            account_usage: Some(AccountUsage {
                function_count: Some(functions),
                total_code_size: Some(whole(bytes)),
            }),
        })
    }
}
