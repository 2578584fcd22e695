//! The nouns of IAM, as its messages call them.

/// What a name is looked for among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Group,
    UserPolicy,
    GroupPolicy,
    AccessKey,
    AccountAlias,
    PasswordPolicy,
    LoginProfile,
    ServiceCredential,
    CredentialService,
    Role,
    RolePolicy,
    /// A managed policy by its ARN.
    Policy,
    /// A managed policy that was to be attached, or one of its versions.
    AttachablePolicy,
    /// A managed policy that was to be a boundary.
    BoundaryPolicy,
    DeletionTask,
    OidcProvider,
    SamlProvider,
}

impl Kind {
    /// AWS's words for that there is none of this name.
    pub fn not_found(self, name: &str) -> String {
        match self {
            Self::User => format!("The user with name {name} cannot be found."),
            Self::Group => format!("The group with name {name} cannot be found."),
            Self::UserPolicy => format!("The user policy with name {name} cannot be found."),
            Self::GroupPolicy => format!("The group policy with name {name} cannot be found."),
            Self::AccessKey => format!("The Access Key with id {name} cannot be found."),
            Self::AccountAlias => format!("The account alias {name} cannot be found."),
            Self::PasswordPolicy => {
                format!("The Password Policy with domain name {name} cannot be found.")
            }
            Self::LoginProfile => format!("Login Profile for User {name} cannot be found."),
            Self::ServiceCredential => format!("No such credential {name} exists"),
            Self::CredentialService => {
                format!("No such service {name} is supported for Service Specific Credentials")
            }
            Self::Role => format!("The role with name {name} cannot be found."),
            Self::RolePolicy => format!("The role policy with name {name} cannot be found."),
            Self::Policy => format!("Policy {name} was not found."),
            Self::AttachablePolicy => format!("Policy {name} does not exist or is not attachable."),
            Self::BoundaryPolicy => format!("Scope ARN: {name} does not exist or is not attachable."),
            Self::DeletionTask => format!("Deletion task {name} cannot be found."),
            Self::OidcProvider => format!("OpenIDConnect Provider not found for arn {name}"),
            Self::SamlProvider => format!("Manifest not found for arn {name}"),
        }
    }

    /// AWS's words for that there is one of this name already.
    pub fn exists(self, name: &str) -> String {
        match self {
            Self::AccountAlias => format!("The account alias {name} already exists."),
            Self::Policy => {
                format!("A policy called {name} already exists. Duplicate names are not allowed.")
            }
            Self::OidcProvider => format!("Provider with url {name} already exists."),
            _ => format!("{} with name {name} already exists.", self.word()),
        }
    }

    /// The noun at the beginning of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::UserPolicy | Self::GroupPolicy => "Policy",
            Self::AccessKey => "Access Key",
            Self::AccountAlias => "Account Alias",
            Self::PasswordPolicy => "Password Policy",
            Self::LoginProfile => "Login Profile",
            Self::ServiceCredential => "Service Specific Credential",
            Self::CredentialService => "Service",
            Self::Role => "Role",
            Self::RolePolicy | Self::Policy | Self::AttachablePolicy | Self::BoundaryPolicy => "Policy",
            Self::DeletionTask => "Deletion task",
            Self::OidcProvider => "OpenIDConnect Provider",
            Self::SamlProvider => "SAMLProvider",
        }
    }
}
