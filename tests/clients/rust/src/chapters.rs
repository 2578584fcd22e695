//! What somebody does with Lambda: each chapter with functions of its own.

use aws_sdk_lambda::primitives::{Blob, ByteStream};
use aws_sdk_lambda::types::{
    AliasRoutingConfiguration, AllowedPublishers, Cors, DestinationConfig, Environment, EventSourcePosition,
    FunctionUrlAuthType, InvocationType, InvokeMode, InvokeWithResponseStreamResponseEvent,
    LayerVersionContentInput, OnSuccess, ProvisionedConcurrencyStatusEnum, RecursiveLoop, Runtime,
    UpdateRuntimeOn,
};

use crate::stage::{Stage, call, refused};

const MISSING: &str = "ResourceNotFoundException";
const READY_ATTEMPTS: u32 = 1_200;

pub(crate) async fn functions(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let got = call!(stage.get_function().function_name(&name));
    assert_eq!(got.tags().unwrap()["team"], "photos");
    assert!(stage.invoke(&name, None).await.contains(r#""event": {"n": 1}"#));
    let listed = call!(stage.list_functions().max_items(50));
    assert!(listed.functions().iter().any(|one| one.function_name() == Some(&name)));

    let environment = Environment::builder().variables("COLOUR", "blue").build();
    call!(stage.update_function_configuration().function_name(&name).timeout(30).environment(environment));
    assert_eq!(stage.settled(&name).await.timeout(), Some(30));
    assert!(stage.invoke(&name, None).await.contains(r#""environment": "blue""#));
    let bucket = stage.bucket.clone();
    call!(stage.update_function_code().function_name(&name).s3_bucket(bucket).s3_key("second.zip"));
    stage.settled(&name).await;
    assert!(stage.invoke(&name, None).await.contains(r#""code": "second""#));
    let event = InvocationType::Event;
    let accepted = call!(stage.invoke().function_name(&name).invocation_type(event).payload(Blob::new("{}")));
    assert_eq!(accepted.status_code(), 202);
    #[expect(deprecated, reason = "AWS wants nobody to call it, and still answers")]
    let accepted =
        call!(stage.invoke_async().function_name(&name).invoke_args(ByteStream::from_static(b"{}")));
    assert_eq!(accepted.status(), 202);
    stage.delete(&name).await;
    assert_eq!(refused!(stage.get_function().function_name(&name)), MISSING);
}

pub(crate) async fn versions_and_aliases(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    assert_eq!(call!(stage.publish_version().function_name(&name)).version(), Some("1"));
    let bucket = stage.bucket.clone();
    call!(stage.update_function_code().function_name(&name).s3_bucket(bucket).s3_key("second.zip"));
    stage.settled(&name).await;
    assert_eq!(call!(stage.publish_version().function_name(&name)).version(), Some("2"));
    let listed = call!(stage.list_versions_by_function().function_name(&name));
    let versions: Vec<_> = listed.versions().iter().filter_map(|one| one.version()).collect();
    assert_eq!(versions, ["$LATEST", "1", "2"]);

    call!(stage.create_alias().function_name(&name).name("live").function_version("1"));
    assert!(stage.invoke(&name, Some("live")).await.contains(r#""code": "first""#));
    let weights = AliasRoutingConfiguration::builder().additional_version_weights("1", 0.25).build();
    call!(
        stage.update_alias().function_name(&name).name("live").function_version("2").routing_config(weights)
    );
    let got = call!(stage.get_alias().function_name(&name).name("live"));
    assert_eq!(got.function_version(), Some("2"));
    let aliases = call!(stage.list_aliases().function_name(&name));
    assert_eq!(aliases.aliases().len(), 1);
    call!(stage.delete_alias().function_name(&name).name("live"));
    assert_eq!(refused!(stage.get_alias().function_name(&name).name("live")), MISSING);
    stage.delete(&name).await;
}

pub(crate) async fn policies(stage: &mut Stage) {
    let (name, arn) = stage.make(None).await;
    call!(
        stage
            .add_permission()
            .function_name(&name)
            .statement_id("s3")
            .action("lambda:InvokeFunction")
            .principal("s3.amazonaws.com")
            .source_arn("arn:aws:s3:::photos")
    );
    let got = call!(stage.get_policy().function_name(&name));
    assert!(got.policy().unwrap().contains("arn:aws:s3:::photos"));
    call!(stage.remove_permission().function_name(&name).statement_id("s3"));
    assert_eq!(refused!(stage.get_policy().function_name(&name)), MISSING);

    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Sid": "one", "Effect": "Allow",
            "Principal": {{"Service": "events.amazonaws.com"}}, "Action": "lambda:InvokeFunction",
            "Resource": "{arn}"}}]}}"#
    );
    let put = call!(stage.put_resource_policy().resource_arn(&arn).policy(policy));
    let got = call!(stage.get_resource_policy().resource_arn(&arn));
    assert_eq!(got.revision_id(), put.revision_id());
    call!(stage.delete_resource_policy().resource_arn(&arn));
    assert_eq!(refused!(stage.get_resource_policy().resource_arn(&arn)), MISSING);
    stage.delete(&name).await;
}

pub(crate) async fn layers(stage: &mut Stage) {
    let layer = stage.unique();
    let bucket = stage.bucket.clone();
    let content = LayerVersionContentInput::builder().s3_bucket(bucket).s3_key("layer.zip").build();
    let made = call!(
        stage
            .publish_layer_version()
            .layer_name(&layer)
            .content(content)
            .compatible_runtimes(Runtime::from("python3.13"))
    );
    let arn = made.layer_version_arn().unwrap();
    let got = call!(stage.get_layer_version().layer_name(&layer).version_number(1));
    assert_eq!(got.layer_version_arn(), Some(arn));
    assert_eq!(call!(stage.get_layer_version_by_arn().arn(arn)).version(), 1);
    let listed = call!(stage.list_layers().max_items(50));
    assert!(listed.layers().iter().any(|one| one.layer_name() == Some(&layer)));
    assert_eq!(call!(stage.list_layer_versions().layer_name(&layer)).layer_versions().len(), 1);

    call!(
        stage
            .add_layer_version_permission()
            .layer_name(&layer)
            .version_number(1)
            .statement_id("all")
            .action("lambda:GetLayerVersion")
            .principal("*")
    );
    let policy = call!(stage.get_layer_version_policy().layer_name(&layer).version_number(1));
    assert!(policy.policy().unwrap().contains("\"all\""));
    call!(stage.remove_layer_version_permission().layer_name(&layer).version_number(1).statement_id("all"));

    let (name, _) = stage.make(Some(arn)).await;
    assert!(stage.invoke(&name, None).await.contains("from the layer"));
    call!(stage.delete_layer_version().layer_name(&layer).version_number(1));
    assert_eq!(refused!(stage.get_layer_version().layer_name(&layer).version_number(1)), MISSING);
    stage.delete(&name).await;
}

pub(crate) async fn tags(stage: &mut Stage) {
    let (name, arn) = stage.make(None).await;
    call!(stage.tag_resource().resource(&arn).tags("b", "2"));
    let listed = call!(stage.list_tags().resource(&arn));
    assert_eq!(listed.tags().unwrap().len(), 2);
    call!(stage.untag_resource().resource(&arn).tag_keys("team"));
    let listed = call!(stage.list_tags().resource(&arn));
    assert_eq!(listed.tags().unwrap()["b"], "2");
    stage.delete(&name).await;
}

pub(crate) async fn concurrency(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let settings = call!(stage.get_account_settings());
    assert!(settings.account_limit().unwrap().concurrent_executions() > 0);
    call!(stage.put_function_concurrency().function_name(&name).reserved_concurrent_executions(1));
    let got = call!(stage.get_function_concurrency().function_name(&name));
    assert_eq!(got.reserved_concurrent_executions(), Some(1));
    call!(stage.delete_function_concurrency().function_name(&name));
    let got = call!(stage.get_function_concurrency().function_name(&name));
    assert_eq!(got.reserved_concurrent_executions(), None);

    call!(stage.publish_version().function_name(&name));
    call!(
        stage
            .put_provisioned_concurrency_config()
            .function_name(&name)
            .qualifier("1")
            .provisioned_concurrent_executions(1)
    );
    for attempt in 0.. {
        let got = call!(stage.get_provisioned_concurrency_config().function_name(&name).qualifier("1"));
        if got.status() == Some(&ProvisionedConcurrencyStatusEnum::Ready) {
            break;
        }
        assert!(attempt < READY_ATTEMPTS, "{got:?}");
        stage.pause().await;
    }
    let listed = call!(stage.list_provisioned_concurrency_configs().function_name(&name));
    assert_eq!(listed.provisioned_concurrency_configs().len(), 1);
    call!(stage.delete_provisioned_concurrency_config().function_name(&name).qualifier("1"));
    stage.delete(&name).await;
}

pub(crate) async fn asynchronous_calls(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let (other, target) = stage.make(None).await;
    call!(stage.put_function_event_invoke_config().function_name(&name).maximum_retry_attempts(1));
    let on_success = OnSuccess::builder().destination(&target).build();
    let destinations = DestinationConfig::builder().on_success(on_success).build();
    call!(stage.update_function_event_invoke_config().function_name(&name).destination_config(destinations));
    let got = call!(stage.get_function_event_invoke_config().function_name(&name));
    assert_eq!(got.maximum_retry_attempts(), Some(1));
    let destination = got.destination_config().unwrap().on_success().unwrap().destination();
    assert_eq!(destination, Some(target.as_str()));
    let listed = call!(stage.list_function_event_invoke_configs().function_name(&name));
    assert_eq!(listed.function_event_invoke_configs().len(), 1);
    call!(stage.delete_function_event_invoke_config().function_name(&name));

    call!(stage.put_function_recursion_config().function_name(&name).recursive_loop(RecursiveLoop::Allow));
    let got = call!(stage.get_function_recursion_config().function_name(&name));
    assert_eq!(got.recursive_loop(), Some(&RecursiveLoop::Allow));
    for made in [name, other] {
        stage.delete(&made).await;
    }
}

pub(crate) async fn urls_and_streams(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let by_policy = FunctionUrlAuthType::AwsIam;
    let made = call!(stage.create_function_url_config().function_name(&name).auth_type(by_policy));
    let got = call!(stage.get_function_url_config().function_name(&name));
    assert_eq!(got.function_url(), made.function_url());
    let cors = Cors::builder().allow_origins("https://example.com").build();
    let streaming = InvokeMode::ResponseStream;
    let updated = call!(
        stage.update_function_url_config().function_name(&name).cors(cors).invoke_mode(streaming.clone())
    );
    assert_eq!(updated.invoke_mode(), Some(&streaming));
    let listed = call!(stage.list_function_url_configs().function_name(&name));
    assert_eq!(listed.function_url_configs().len(), 1);
    call!(stage.delete_function_url_config().function_name(&name));

    let payload = Blob::new(r#"{"n": 2}"#);
    let mut answer = call!(stage.invoke_with_response_stream().function_name(&name).payload(payload));
    let mut told = Vec::new();
    while let Some(event) = answer.event_stream.recv().await.expect("the stream goes on") {
        if let InvokeWithResponseStreamResponseEvent::PayloadChunk(chunk) = event {
            told.extend_from_slice(chunk.payload().unwrap().as_ref());
        }
    }
    assert!(String::from_utf8(told).unwrap().contains(r#""event": {"n": 2}"#));
    stage.delete(&name).await;
}

pub(crate) async fn code_signing(stage: &mut Stage) {
    let profile = format!("arn:aws:signer:us-east-1:{}:/signing-profiles/test/abcdefghij", stage.account);
    let publishers = AllowedPublishers::builder().signing_profile_version_arns(profile).build().unwrap();
    let made = call!(stage.create_code_signing_config().allowed_publishers(publishers));
    let arn = made.code_signing_config().unwrap().code_signing_config_arn();
    call!(stage.update_code_signing_config().code_signing_config_arn(arn).description("second"));
    let got = call!(stage.get_code_signing_config().code_signing_config_arn(arn));
    assert_eq!(got.code_signing_config().unwrap().description(), Some("second"));
    let listed = call!(stage.list_code_signing_configs().max_items(50));
    assert!(listed.code_signing_configs().iter().any(|one| one.code_signing_config_arn() == arn));

    let (name, _) = stage.make(None).await;
    call!(stage.put_function_code_signing_config().function_name(&name).code_signing_config_arn(arn));
    let got = call!(stage.get_function_code_signing_config().function_name(&name));
    assert_eq!(got.code_signing_config_arn(), arn);
    let functions = call!(stage.list_functions_by_code_signing_config().code_signing_config_arn(arn));
    assert_eq!(functions.function_arns().len(), 1);
    call!(stage.delete_function_code_signing_config().function_name(&name));
    call!(stage.delete_code_signing_config().code_signing_config_arn(arn));
    stage.delete(&name).await;
}

pub(crate) async fn runtime_management(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let on = UpdateRuntimeOn::FunctionUpdate;
    call!(stage.put_runtime_management_config().function_name(&name).update_runtime_on(on.clone()));
    let got = call!(stage.get_runtime_management_config().function_name(&name));
    assert_eq!(got.update_runtime_on(), Some(&on));
    stage.delete(&name).await;
}

pub(crate) async fn event_source_mappings(stage: &mut Stage) {
    let (name, _) = stage.make(None).await;
    let (stream, start) = (stage.stream.clone(), EventSourcePosition::Latest);
    let made = call!(
        stage
            .create_event_source_mapping()
            .function_name(&name)
            .event_source_arn(stream)
            .starting_position(start)
            .batch_size(7)
    );
    let uuid = made.uuid().unwrap();
    let got = call!(stage.get_event_source_mapping().uuid(uuid));
    assert_eq!((got.batch_size(), got.function_arn()), (Some(7), made.function_arn()));
    let updated = call!(stage.update_event_source_mapping().uuid(uuid).maximum_retry_attempts(2));
    assert_eq!((updated.batch_size(), updated.maximum_retry_attempts()), (Some(7), Some(2)));
    let listed = call!(stage.list_event_source_mappings().function_name(&name));
    assert_eq!(listed.event_source_mappings().len(), 1);
    assert_eq!(call!(stage.delete_event_source_mapping().uuid(uuid)).state(), Some("Deleting"));
    stage.delete(&name).await;
}
