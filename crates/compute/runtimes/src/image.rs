//! Functions that are container images: how they start, and what they are told.
//! Source: AWS Lambda Developer Guide, "Create a Lambda function using a container image", "Defined runtime environment
//! variables".

use std::io;
use std::path::{Path, PathBuf};

use crate::catalogue::{Family, Runtime};
use crate::environment::{FunctionFacts, set_reserved};
use crate::launch::{BOOTSTRAP_DIR, ENDPOINT_PORT, Launch, Start, make_bootstraps, node_heap_mib};

/// What stands for a runtime identifier.
const IDENTIFIER: &str = "Image";
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// An unpacked image, and what of it is to be executed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// The folder that is the environment's root.
    pub tree: PathBuf,
    /// The program is this family's interpreter, for our bootstrap; else it speaks the Runtime API by itself.
    pub interpreter: Option<Family>,
    /// A path within the tree, absolute or from `work_dir`.
    pub program: String,
    /// From the program's own name on.
    pub args: Vec<String>,
    /// An absolute path within the tree.
    pub work_dir: String,
    /// Where its programs are.
    pub path: String,
    /// The image's own variables.
    pub env: Vec<(String, String)>,
    /// The first word of the command.
    pub handler: Option<String>,
}

impl Image {
    /// What the pool knows it by: no interpreter of the host's.
    pub fn runtime(&self) -> Runtime {
        let family = self.interpreter.unwrap_or(Family::Provided);
        Runtime { identifier: IDENTIFIER.to_owned(), family, interpreter: None, note: None }
    }

    /// The whole environment of its program: the image's own variables, over them the function's, over them the reserved
    /// ones.
    pub fn variables(&self, facts: &FunctionFacts<'_>) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| {
            variables.retain(|(old, _)| old != name);
            variables.push((name.to_owned(), value));
        };
        set("PATH", self.path.clone());
        set("TZ", ":UTC".to_owned());
        set("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{ENDPOINT_PORT}"));
        for (name, value) in self.env.iter().chain(facts.own) {
            set(name, value.clone());
        }
        let task_root = self.env.iter().rev().find(|(name, _)| name == TASK_ROOT).map(|(_, value)| value);
        set_reserved(&self.runtime(), facts, &mut set);
        set("AWS_EXECUTION_ENV", format!("AWS_Lambda_{IDENTIFIER}"));
        // Our bootstraps find handlers from there, whatever the image says.
        let task_root = task_root.filter(|_| self.interpreter.is_none()).unwrap_or(&self.work_dir);
        set(TASK_ROOT, task_root.clone());
        variables
    }
}

impl Launch {
    /// Describes the start of an image, and makes sure that our bootstraps are on disk beneath `data_dir` where it needs one.
    pub fn of_image(image: &Image, data_dir: &Path, memory_mib: u32) -> io::Result<Self> {
        let mut launch = Self {
            binds: Vec::new(),
            links: Vec::new(),
            start: Start::With,
            program: image.program.clone(),
            args: image.args.clone(),
            env: Vec::new(),
            root: Some((image.tree.clone(), image.work_dir.clone())),
        };
        let Some(family) = image.interpreter else { return Ok(launch) };
        launch.binds.push((make_bootstraps(data_dir)?, BOOTSTRAP_DIR.to_owned(), false));
        match family {
            Family::Node => {
                let heap_mib = node_heap_mib(memory_mib);
                launch.args.push(format!("--max-old-space-size={heap_mib}"));
                launch.args.push(format!("{BOOTSTRAP_DIR}/bootstrap.cjs"));
            }
            _ => launch.args.push(format!("{BOOTSTRAP_DIR}/bootstrap.py")),
        }
        Ok(launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(interpreter: Option<Family>) -> Image {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Image {
            tree: "/code/root".into(),
            interpreter,
            program: "/usr/bin/python3".to_owned(),
            args: texts(&["python3"]),
            work_dir: "/app".to_owned(),
            path: "/usr/bin".to_owned(),
            env: vec![pair("COLOUR", "red"), pair("SIZE", "big"), pair("LAMBDA_TASK_ROOT", "/its")],
            handler: Some("app.handler".to_owned()),
        }
    }

    fn variables(image: &Image) -> std::collections::HashMap<String, String> {
        let own = [("COLOUR".to_owned(), "blue".to_owned()), ("AWS_REGION".to_owned(), "moon".to_owned())];
        image.variables(&FunctionFacts::of_test(&own)).into_iter().collect()
    }

    #[test]
    fn the_functions_variables_lie_over_the_images() {
        let its_own = variables(&image(None));
        assert_eq!((its_own["COLOUR"].as_str(), its_own["SIZE"].as_str()), ("blue", "big"));
        assert_eq!((its_own["AWS_REGION"].as_str(), its_own["PATH"].as_str()), ("us-east-1", "/usr/bin"));
        assert_eq!(its_own["LAMBDA_TASK_ROOT"], "/its");
        assert!(
            !its_own.contains_key("LD_LIBRARY_PATH") && !its_own.contains_key("_LAMBDA_TELEMETRY_LOG_FD")
        );
        let ours = variables(&image(Some(Family::Python)));
        assert_eq!((ours["LAMBDA_TASK_ROOT"].as_str(), ours["_HANDLER"].as_str()), ("/app", "app.handler"));
    }

    #[test]
    fn our_bootstrap_is_put_in_for_a_handler_only() {
        let dir = tempfile::tempdir().unwrap();
        let own = Launch::of_image(&image(None), dir.path(), 128).unwrap();
        assert!(own.binds.is_empty());
        assert_eq!((own.args.as_slice(), own.start), (["python3".to_owned()].as_slice(), Start::With));
        let ours = Launch::of_image(&image(Some(Family::Python)), dir.path(), 128).unwrap();
        assert_eq!(ours.args, ["python3", "/var/rapid/bootstrap.py"]);
        assert_eq!(ours.binds, [(dir.path().join("runtimes/bootstraps"), "/var/rapid".to_owned(), false)]);
        assert_eq!(ours.root, Some(("/code/root".into(), "/app".to_owned())));
    }
}
