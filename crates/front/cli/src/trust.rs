//! `lambent trust`: how programs come to trust the cloud's own certificate authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cloud::{CA_FILE, DataArg};
use crate::{CliError, exit, ui};

/// Say how to trust the cloud's own certificates
#[derive(Args, Clone, Debug)]
pub struct TrustArgs {
    #[command(flatten)]
    pub data: DataArg,
    /// Print the authority's certificate itself, in PEM, as for another host
    #[arg(long)]
    pub pem: bool,
}

/// Prints instructions, or the certificate.
pub fn run(arguments: &TrustArgs) -> ExitCode {
    ui::finish(show(arguments))
}

fn show(arguments: &TrustArgs) -> Result<u8, CliError> {
    let file = authority(&arguments.data.data)
        .ok_or_else(|| CliError::NoAuthority { data: arguments.data.data.clone() })?;
    if arguments.pem {
        let pem = fs::read_to_string(&file).map_err(CliError::disk("read", &file))?;
        ui::print(&pem)?;
    } else {
        ui::print(&instructions(&file))?;
    }
    Ok(exit::DONE)
}

/// Where the certificate of the cloud's own authority is, if it has one.
pub(crate) fn authority(data: &Path) -> Option<PathBuf> {
    data.join(CA_FILE).canonicalize().ok()
}

/// A way to trust a certificate: for whom, and the commands.
struct Way {
    whom: &'static str,
    /// It is this host's if this is there.
    sign: &'static str,
    commands: &'static str,
}

const WAYS: [Way; 5] = [
    Way {
        whom: "Debian, Ubuntu, Alpine",
        sign: "/usr/local/share/ca-certificates",
        commands: "sudo cp FILE /usr/local/share/ca-certificates/lambent.crt && sudo update-ca-certificates",
    },
    Way {
        whom: "Fedora, Red Hat",
        sign: "/etc/pki/ca-trust/source/anchors",
        commands: "sudo cp FILE /etc/pki/ca-trust/source/anchors/lambent.pem && sudo update-ca-trust",
    },
    Way {
        whom: "Arch",
        sign: "/etc/ca-certificates/trust-source",
        commands: "sudo trust anchor --store FILE",
    },
    Way {
        whom: "macOS",
        sign: "/Library/Keychains",
        commands: "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain FILE",
    },
    Way { whom: "Windows", sign: r"C:\Windows", commands: "certutil -addstore -f Root FILE" },
];

fn instructions(file: &Path) -> String {
    let file = file.display().to_string();
    let mut text = format!(
        "The cloud's certificate authority is in {file}\n\
         It can sign for localhost, the cloud's domain and private addresses, and for nothing else.\n\n\
         For the programs of a shell:\n  eval \"$(lambent env --https)\"\n\
         For curl:\n  curl --cacert {file} https://localhost:4566/_lambent/health\n"
    );
    let (here, elsewhere): (Vec<_>, Vec<_>) = WAYS.iter().partition(|way| Path::new(way.sign).exists());
    for (ways, place) in [(here, "this host"), (elsewhere, "a copy on another host")] {
        for Way { whom, commands, .. } in ways {
            text.push_str(&format!(
                "For everything on {place} ({whom}):\n  {}\n",
                commands.replace("FILE", &file)
            ));
        }
    }
    text.push_str(
        "Firefox has a list of its own: Settings, Certificates, View Certificates, Authorities, Import.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_names_the_file() {
        let text = instructions(Path::new("/data/tls-ca.pem"));
        assert!(!text.contains("FILE"), "{text}");
        assert_eq!(text.matches("/data/tls-ca.pem").count(), 2 + WAYS.len(), "{text}");
        for way in &WAYS {
            assert!(text.contains(way.whom), "{text}");
        }
    }

    #[test]
    fn a_cloud_without_an_authority_has_none_to_trust() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(authority(folder.path()), None);
        fs::write(folder.path().join(CA_FILE), "pem").unwrap();
        assert!(authority(folder.path()).unwrap().is_absolute());
    }
}
