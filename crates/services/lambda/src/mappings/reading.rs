//! What the engine asks of functions: whether their roles may read a source, and where what they could not handle may go.

use std::sync::Arc;

use lambent_base::{Arn, BoxFuture, Place};
use lambent_bus::ports::{InvokeError, PortError};
use lambent_identity::{Circumstances, IdentityError, ResourceFacts, Wanted};
use lambent_mappings::source::{MappedFunctions, Reading, SourceError, StreamSource};
use lambent_mappings::{Mapping, Start, starts};
use lambent_model_lambda::DestinationConfig;
use tokio::sync::watch;

use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::cache::{Draw, Loaded};
use crate::functions::spec::SERVICE_PRINCIPAL;
use crate::mappings::{from_engine, uuid_of};
use crate::names::FunctionName;

/// The name of the session in which roles are asked.
const SESSION: &str = "event-source-mapping";
const NOT_ASSUMED: &str = "PROBLEM: Lambda failed to assume your function execution role.";

impl Engine {
    /// Where the shards of a source begin for a new mapping, if the function may have it.
    pub(super) async fn mapped_source(
        &self,
        mapping_arn: &str,
        name: &FunctionName,
        stream: &Arn,
        start: Start,
    ) -> Result<Vec<(String, Option<String>)>, LambdaError> {
        let source = self.parts.sources.of(&stream.service).ok_or_else(|| {
            let what = format!("event source mappings of {}", stream.service);
            errors::unsupported(&what, "map the stream of a DynamoDB table")
        })?;
        let role = self.role_of(name).await?;
        if self.refusal(&stream.region, mapping_arn, &role, &source.permissions(stream)).await?.is_some() {
            return Err(errors::invalid(format!(
                "Cannot access stream {stream}. Please ensure the role can perform the {} Actions on your stream in IAM.",
                verbs(&*source, stream)
            ))
            .into());
        }
        match starts(&*source, stream, start).await {
            Ok(starts) => Ok(starts),
            Err(SourceError::NotFound) => Err(errors::invalid(format!("Stream not found: {stream}")).into()),
            Err(error) => Err(LambdaError::Event(error.to_string())),
        }
    }

    /// Fails unless what is given up may go where it shall.
    pub(super) async fn check_discards(
        &self,
        name: &FunctionName,
        config: &DestinationConfig,
    ) -> Result<(), LambdaError> {
        let role = self.role_of(name).await?;
        self.check_destinations(name, &role, config).await
    }

    /// What decisions on a mapping must know.
    pub(crate) async fn mapping_facts(&self, arn: &str) -> Result<ResourceFacts, LambdaError> {
        let Some((place, uuid)) = &uuid_of(arn) else { return Ok(ResourceFacts::default()) };
        let read = self.db.read(|txn| async move { Mapping::get(&txn, place, uuid).await });
        let row = read.await.map_err(from_engine)?;
        let tags = row.map_or_else(Vec::new, |row| row.tags.into_iter().collect());
        Ok(ResourceFacts { tags, ..ResourceFacts::default() })
    }

    async fn role_of(&self, name: &FunctionName) -> Result<String, LambdaError> {
        let loaded = self.load(name).await?;
        let role = loaded.and_then(|loaded| loaded.role.clone());
        Ok(role.ok_or_else(|| errors::invalid("Function does not exist"))?)
    }

    /// What stands against a role's doing all of this for a mapping: a PROBLEM, as mappings show it.
    async fn refusal(
        &self,
        region: &str,
        mapping_arn: &str,
        role_arn: &str,
        wanted: &[(&'static str, String)],
    ) -> Result<Option<String>, LambdaError> {
        let identity = &self.parts.identity;
        let caller = match identity.role_as_service(SERVICE_PRINCIPAL, role_arn, SESSION).await {
            Ok(caller) => caller,
            Err(error @ (IdentityError::Denied(_) | IdentityError::NoSuchRole(_))) => {
                tracing::debug!(%error, role_arn, "a role reads no source");
                return Ok(Some(NOT_ASSUMED.to_owned()));
            }
            Err(error) => return Err(undecided(&error)),
        };
        let at = Circumstances {
            is_secure: true,
            region: region.to_owned(),
            time_ms: self.parts.clock.unix_ms(),
            source_arn: Some(mapping_arn.to_owned()),
            ..Circumstances::default()
        };
        for (action, resource) in wanted {
            match identity.authorize(&caller, &at, Wanted::new(action, resource.clone())).await {
                Ok(_) => {}
                Err(IdentityError::Denied(_) | IdentityError::NoSuchRole(_)) => {
                    return Ok(Some(format!(
                        "PROBLEM: The function's execution role may not call {action} on {resource}."
                    )));
                }
                Err(error) => return Err(undecided(&error)),
            }
        }
        Ok(None)
    }
}

impl MappedFunctions for Engine {
    fn basis<'a>(&'a self, function: &'a Arn) -> BoxFuture<'a, Result<String, PortError>> {
        Box::pin(async move {
            let Some(loaded) = self.mapped(function).await? else { return Ok(String::new()) };
            let revision = self.parts.identity.revision(&function.account).await;
            let revision = revision.map_err(|error| PortError(error.to_string()))?;
            let Loaded { phase, architecture, role, spec, .. } = &*loaded;
            let runs =
                spec.as_ref().map(|spec| (&spec.runtime, &spec.key.revision, spec.reserved_concurrency));
            Ok(format!("{phase:?} {architecture:?} {role:?} {runs:?} {revision}"))
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn may_read<'a>(
        &'a self,
        mapping: &'a Arn,
        function: &'a Arn,
        wanted: &'a [(&'static str, String)],
    ) -> BoxFuture<'a, Result<Reading, PortError>> {
        Box::pin(async move {
            let Some(role_arn) = self.mapped(function).await?.and_then(|loaded| loaded.role.clone()) else {
                let gone = InvokeError::NoSuchFunction(function.clone());
                return Ok(Reading::Refused(format!("PROBLEM: {gone}")));
            };
            let refusal = self.refusal(&mapping.region, &mapping.to_string(), &role_arn, wanted).await;
            Ok(match refusal.map_err(|error| PortError(error.to_string()))? {
                None => Reading::Allowed { role_arn },
                Some(why) => Reading::Refused(why),
            })
        })
    }
}

impl Engine {
    /// The function of a mapping; of the two versions of an alias always the same.
    async fn mapped(&self, function: &Arn) -> Result<Option<Arc<Loaded>>, PortError> {
        let place = Place { account: function.account.clone(), region: function.region.clone() };
        let arn = function.to_string();
        let name = FunctionName::parse(&arn, None, &place).map_err(|error| PortError(error.message))?;
        let loaded = self.load_drawn(&name, Draw::Attempt(&arn, 0)).await;
        loaded.map_err(|error| PortError(error.to_string()))
    }
}

/// Whether the role may is not known: that is no refusal.
fn undecided(error: &IdentityError) -> LambdaError {
    LambdaError::Role(error.to_string())
}

/// As `GetRecords, GetShardIterator, DescribeStream, and ListStreams`.
fn verbs(source: &dyn StreamSource, stream: &Arn) -> String {
    let permissions = source.permissions(stream);
    let verb = |action: &&'static str| action.split_once(':').map_or(*action, |(_, verb)| verb);
    let verbs: Vec<&str> = permissions.iter().map(|(action, _)| verb(action)).collect();
    match verbs.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        _ => verbs.concat(),
    }
}
