//! The client, and what every chapter needs.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Config, Credentials, Region, retry::RetryConfig};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{FunctionCode, LastUpdateStatus, Runtime, State};

const ATTEMPTS: u32 = 1_200;
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) account: String,
    pub(crate) bucket: String,
    /// The stream of a table.
    pub(crate) stream: String,
    /// The operations that were called, as the SDK names them.
    pub(crate) called: BTreeSet<&'static str>,
    role: String,
    stem: String,
    made: u32,
}

/// The answer of an operation that must succeed.
macro_rules! call {
    ($stage:ident.$operation:ident() $(.$setter:ident($($value:expr),*))*) => {{
        $stage.called.insert(stringify!($operation));
        let sent = $stage.client.$operation()$(.$setter($($value),*))*.send().await;
        sent.unwrap_or_else(|error| {
            panic!("{}: {}", stringify!($operation), aws_sdk_lambda::error::DisplayErrorContext(&error))
        })
    }};
}

/// The code of the error that an operation must end with.
macro_rules! refused {
    ($stage:ident.$operation:ident() $(.$setter:ident($($value:expr),*))*) => {{
        use aws_sdk_lambda::error::ProvideErrorMetadata;
        let sent = $stage.client.$operation()$(.$setter($($value),*))*.send().await;
        sent.expect_err(stringify!($operation)).code().unwrap_or_default().to_owned()
    }};
}

pub(crate) use {call, refused};

impl Stage {
    /// As the test that starts this program says.
    pub(crate) fn from_env() -> Self {
        let told = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let credentials = Credentials::new(told("ACCESS_KEY"), told("SECRET_KEY"), None, None, "the test");
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(told("ENDPOINT"))
            .region(Region::new(told("REGION")))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self {
            client: Client::from_conf(config),
            account: told("ACCOUNT"),
            bucket: told("BUCKET"),
            stream: told("STREAM"),
            called: BTreeSet::new(),
            role: told("ROLE"),
            stem: told("STEM"),
            made: 0,
        }
    }

    /// A name that nobody else uses.
    pub(crate) fn unique(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.stem, self.made)
    }

    /// Creates a function, perhaps with a layer, and waits until it is active; gives its name and its ARN.
    pub(crate) async fn make(&mut self, layer: Option<&str>) -> (String, String) {
        let name = self.unique();
        let code = FunctionCode::builder().s3_bucket(&self.bucket).s3_key("code.zip").build();
        let layers = layer.map(|arn| vec![arn.to_owned()]);
        let made = call!(
            self.create_function()
                .function_name(&name)
                .runtime(Runtime::from("python3.13"))
                .handler("index.handler")
                .role(&self.role)
                .code(code)
                .set_layers(layers)
                .tags("team", "photos")
        );
        assert_eq!(made.state(), Some(&State::Pending));
        let arn = self.settled(&name).await.function_arn().unwrap().to_owned();
        (name, arn)
    }

    /// The function's configuration once nothing is under way.
    pub(crate) async fn settled(&mut self, name: &str) -> GetFunctionConfigurationOutput {
        for _ in 0..ATTEMPTS {
            let shown = call!(self.get_function_configuration().function_name(name));
            let is_busy = shown.state() == Some(&State::Pending)
                || shown.last_update_status() == Some(&LastUpdateStatus::InProgress);
            if !is_busy {
                assert_eq!(shown.state(), Some(&State::Active), "{shown:?}");
                return shown;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{name} is busy for too long");
    }

    /// Waits until an asynchronous question is answered with true.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    /// What the function answers, as text.
    pub(crate) async fn invoke(&mut self, name: &str, qualifier: Option<&str>) -> String {
        let payload = aws_sdk_lambda::primitives::Blob::new(r#"{"n": 1}"#);
        let qualifier = qualifier.map(str::to_owned);
        let answer = call!(self.invoke().function_name(name).payload(payload).set_qualifier(qualifier));
        assert_eq!((answer.status_code(), answer.function_error()), (200, None));
        String::from_utf8(answer.payload().unwrap().as_ref().to_vec()).unwrap()
    }

    pub(crate) async fn delete(&mut self, name: &str) {
        call!(self.delete_function().function_name(name));
    }
}
