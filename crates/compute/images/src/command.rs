//! What of an image is executed. Sources: AWS Lambda Developer Guide, "Create a Lambda function using a container image";
//! OCI image specification, "Conversion to OCI Runtime Configuration".

use std::path::{Path, PathBuf};

use lambent_runtimes::{Family, Image};
use rustix::fs::FileType;

use crate::beneath::Beneath;
use crate::config::Execution;

/// Where programs are looked for in an image that does not say it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What AWS's own base images have, and execute for a handler.
const AWS_BOOTSTRAP: &str = "/var/runtime/bootstrap";
const PYTHONS: [&str; 2] = ["python3", "python"];
const NODES: [&str; 1] = ["node"];
const NODE_EXTENSIONS: [&str; 3] = ["js", "mjs", "cjs"];
const ANY_EXECUTE: u32 = 0o111;

/// ImageConfig of a function: what is there replaces what the image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub working_directory: Option<String>,
}

impl Overrides {
    /// What is there replaces the image's; what is empty does not.
    pub(crate) fn over(&self, execution: Execution) -> Execution {
        let folder = self.working_directory.as_ref().filter(|folder| !folder.is_empty());
        Execution {
            entrypoint: chosen(self.entry_point.as_ref(), execution.entrypoint),
            cmd: chosen(self.command.as_ref(), execution.cmd),
            working_dir: folder.cloned().unwrap_or(execution.working_dir),
            env: execution.env,
        }
    }
}

/// An entry point with its arguments is executed as it is. An image without one, whose only command is the name of a
/// handler and of no program, has an interpreter and no client of the Runtime API: our bootstrap is that.
pub(crate) fn choose(tree: PathBuf, beneath: &Beneath, execution: Execution, path: Option<&str>) -> Image {
    let Execution { entrypoint: entry_point, cmd: command, working_dir: work_dir, .. } = execution;
    let env = pairs(&execution.env);
    let own = |(name, value): &(String, String)| (name == "PATH").then(|| value.clone());
    let path = path.map(str::to_owned).or_else(|| env.iter().rev().find_map(own));
    let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let work_dir = format!("/{}", work_dir.trim_start_matches('/'));
    let handler = command.first().cloned();
    let place = Place { beneath, path: &path, work_dir: &work_dir };
    let (interpreter, args) = match (entry_point.as_slice(), command.as_slice()) {
        ([], [handler]) => place.started_for(handler),
        _ => (None, [entry_point, command].concat()),
    };
    let program = args.first().map(|name| place.program(name).unwrap_or_else(|| name.clone()));
    Image { tree, interpreter, program: program.unwrap_or_default(), args, work_dir, path, env, handler }
}

fn chosen(mine: Option<&Vec<String>>, its: Vec<String>) -> Vec<String> {
    mine.filter(|mine| !mine.is_empty()).cloned().unwrap_or(its)
}

/// Variables written `NAME=value`; what has no name is no variable.
fn pairs(env: &[String]) -> Vec<(String, String)> {
    let pair = |text: &String| {
        text.split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    env.iter().filter_map(pair).collect()
}

/// Where programs of an image are looked for.
struct Place<'a> {
    beneath: &'a Beneath,
    path: &'a str,
    work_dir: &'a str,
}

impl Place<'_> {
    /// The program that a command without an entry point is, or what takes it as the name of a handler.
    fn started_for(&self, command: &str) -> (Option<Family>, Vec<String>) {
        let alone = |program: &str| vec![program.to_owned()];
        if self.program(command).is_some() || !command.contains('.') {
            return (None, alone(command));
        }
        if self.is_program(AWS_BOOTSTRAP) {
            return (None, alone(AWS_BOOTSTRAP));
        }
        let python = PYTHONS.iter().find(|name| self.program(name).is_some());
        let node = NODES.iter().find(|name| self.program(name).is_some());
        match (python, node) {
            (Some(_), Some(node)) if self.is_for_node(command) => (Some(Family::Node), alone(node)),
            (Some(python), _) => (Some(Family::Python), alone(python)),
            (None, Some(node)) => (Some(Family::Node), alone(node)),
            (None, None) => (None, alone(command)),
        }
    }

    /// Where a program is, by its name or its path.
    fn program(&self, name: &str) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        if name.contains('/') {
            return self.is_program(name).then(|| name.to_owned());
        }
        let folders = self.path.split(':').filter(|folder| !folder.is_empty());
        let mut places = folders.map(|folder| format!("{}/{name}", folder.trim_end_matches('/')));
        places.find(|place| self.is_program(place))
    }

    fn is_program(&self, path: &str) -> bool {
        let found = self.beneath.look_up(&self.absolute(path));
        found.is_ok_and(|(kind, mode)| kind == FileType::RegularFile && mode & ANY_EXECUTE != 0)
    }

    /// Whether a handler's file is JavaScript, where both interpreters are there.
    fn is_for_node(&self, handler: &str) -> bool {
        let Some((module, _)) = handler.rsplit_once('.') else { return false };
        let is_there =
            |extension: &&str| self.beneath.look_up(&self.absolute(&format!("{module}.{extension}"))).is_ok();
        NODE_EXTENSIONS.iter().any(is_there)
    }

    fn absolute(&self, path: &str) -> PathBuf {
        let path = Path::new(self.work_dir).join(path);
        path.strip_prefix("/").map_or(path.clone(), Path::to_owned)
    }
}
