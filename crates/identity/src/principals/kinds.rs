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
        }
    }

    /// AWS's words for that there is one of this name already.
    pub fn exists(self, name: &str) -> String {
        match self {
            Self::AccountAlias => format!("The account alias {name} already exists."),
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
        }
    }
}
