//! Why a text is not a policy document, in AWS's words.

/// The texts are what IAM (and for bucket policies S3) answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPolicy {
    #[error("This policy contains invalid Json")]
    Json,
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    JsonForS3,
    #[error("Syntax errors in policy.")]
    Syntax,
    /// What IAM's older parser refuses.
    #[error("The policy failed legacy parsing")]
    Legacy,
    #[error("Policy document must be version 2012-10-17 or greater.")]
    Version,
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    #[error("Policy document should not specify a principal.")]
    PrincipalInIdentityPolicy,
    #[error("Missing required field {0}")]
    Missing(&'static str),
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    SidTwice,
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    SidForm,
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    ActionWithoutVendor,
    #[error("Actions/Condition can contain only one colon.")]
    ActionColons,
    #[error("Vendor {0} is not valid")]
    Vendor(String),
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    TrustAction,
    #[error("Policy has invalid action")]
    InvalidAction,
    #[error("Resource {0} must be in ARN format or \"*\".")]
    ResourceForm(String),
    #[error("Partition \"{partition}\" is not valid for resource \"{resource}\".")]
    Partition { partition: String, resource: String },
    #[error("Resource vendor must be fully qualified and cannot contain regexes.")]
    ResourceVendor,
    #[error("IAM resource {0} cannot contain region information.")]
    IamRegion(String),
    #[error("Resource {0} can not contain region information.")]
    S3Region(String),
    #[error("IAM resource path must either be \"*\" or start with {IAM_PATHS}.")]
    IamPath,
    #[error("Policy has invalid resource")]
    InvalidResource,
    #[error("Invalid principal in policy: \"{kind}\":\"{name}\"")]
    Principal { kind: String, name: String },
    #[error("Invalid principal in policy")]
    PrincipalForS3,
}

/// What the resources of IAM begin with.
const IAM_PATHS: &str = "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, \
                         sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/";

/// Whether a resource of IAM begins as one may.
pub(super) fn is_iam_path(resource: &str) -> bool {
    resource == "*" || IAM_PATHS.split(", ").any(|start| resource.starts_with(start))
}
