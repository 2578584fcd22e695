//! The credential report: who can sign, with what, and when it was last used.
//! Source: IAM User Guide, "Generate credential reports for your AWS account".

use lambent_api::{ApiError, Call};
use lambent_base::Arn;
use lambent_identity::{AccessKey, REPORT_LIFETIME_MS, User, quotas};
use lambent_model_iam as model;
use lambent_model_iam::errors;
use lambent_wire::{Empty, Timestamp, TimestampFormat};

use crate::Iam;
use crate::ask::time;
use crate::errors::api_error;

const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,\
     password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
     access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
     access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,\
     cert_1_last_rotated,cert_2_active,cert_2_last_rotated";
/// Whose line is the first.
const ROOT: &str = "<root_account>";
const NONE: &str = "N/A";

impl Iam {
    pub(crate) async fn generate_credential_report(
        &self,
        call: &Call,
        _input: Empty,
    ) -> Result<model::GenerateCredentialReportResponse, ApiError> {
        let is_new = self.principals(call).begin_credential_report().await.map_err(api_error)?;
        let (state, description) = match is_new {
            true => (model::ReportStateType::Started, Some("No report exists. Starting a new report")),
            false => (model::ReportStateType::Complete, None),
        };
        let description = description.map(str::to_owned);
        Ok(model::GenerateCredentialReportResponse { description, state: Some(state) })
    }

    /// The report is made when it is fetched, so that it is never older than the rows.
    pub(crate) async fn get_credential_report(
        &self,
        call: &Call,
        _input: Empty,
    ) -> Result<model::GetCredentialReportResponse, ApiError> {
        let settings = self.principals(call).account_settings().await.map_err(api_error)?;
        let made_ms = settings.report_ms.ok_or_else(|| {
            errors::credential_report_not_present_exception(
                "Report is not present, please generate one first",
            )
        })?;
        if call.time_ms() - made_ms >= REPORT_LIFETIME_MS {
            let message = "Report has expired, please generate a new one";
            return Err(errors::credential_report_expired_exception(message));
        }
        let content = self.report(call).await?;
        Ok(model::GetCredentialReportResponse {
            content: Some(content.into()),
            generated_time: Some(time(made_ms)),
            report_format: Some(model::ReportFormatType::TextCsv),
        })
    }

    async fn report(&self, call: &Call) -> Result<String, ApiError> {
        let mut lines = vec![COLUMNS.to_owned(), self.root_line(call).await?];
        let mut marker: Option<String> = None;
        loop {
            let page = self.principals(call).users("/", marker.as_deref(), quotas::ITEMS_PER_PAGE_MAX);
            let page = page.await.map_err(api_error)?;
            for user in &page.items {
                let keys = self.principals(call).access_keys(&user.name).await.map_err(api_error)?;
                lines.push(self.user_line(call, user, &keys).await?);
            }
            marker = page.marker;
            if marker.is_none() {
                return Ok(lines.join("\n"));
            }
        }
    }

    async fn root_line(&self, call: &Call) -> Result<String, ApiError> {
        let account = call.account();
        let arn = Arn::new("iam", "", account, "root").to_string();
        let mut fields: Vec<String> =
            [ROOT, &arn, NONE, "not_supported", NONE, "not_supported", "not_supported"]
                .map(str::to_owned)
                .to_vec();
        fields.push("false".to_owned());
        let keys = self.principals(call).root_access_keys().await.map_err(api_error)?;
        self.add_keys(call, &mut fields, &keys).await?;
        Ok(fields.join(","))
    }

    async fn user_line(&self, call: &Call, user: &User, keys: &[AccessKey]) -> Result<String, ApiError> {
        let mut fields = vec![user.name.clone(), user.arn(), date(user.created_ms), "false".to_owned()];
        fields.extend(["N/A", "N/A", "N/A", "false"].map(str::to_owned));
        self.add_keys(call, &mut fields, keys).await?;
        Ok(fields.join(","))
    }

    /// The columns of both keys, be they there or not, and of certificates, which never are.
    async fn add_keys(
        &self,
        call: &Call,
        fields: &mut Vec<String>,
        keys: &[AccessKey],
    ) -> Result<(), ApiError> {
        for number in 0..quotas::ACCESS_KEYS_MAX {
            let Some(key) = keys.get(number) else {
                fields.extend(["false", NONE, NONE, NONE, NONE].map(str::to_owned));
                continue;
            };
            let used = self.principals(call).last_use(&key.id).await.map_err(api_error)?;
            fields.push(key.is_active.to_string());
            fields.push(if key.created_ms > 0 { date(key.created_ms) } else { NONE.to_owned() });
            match used {
                Some(used) => fields.extend([date(used.time_ms), used.region, used.service]),
                None => fields.extend([NONE, NONE, NONE].map(str::to_owned)),
            }
        }
        fields.extend(["false", NONE, "false", NONE].map(str::to_owned));
        Ok(())
    }
}

fn date(unix_ms: i64) -> String {
    let text = Timestamp::from_s(unix_ms.div_euclid(1000)).format(TimestampFormat::Iso8601);
    text.replace('Z', "+00:00")
}
