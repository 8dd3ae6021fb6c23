//! What is going to be built and what waits for what: for the live display, and for what is said of failures.

use std::collections::{HashMap, VecDeque};

/// Derivations that will be built, by their printed paths.
#[derive(Debug, Default)]
pub struct BuildGraph {
    nodes: HashMap<String, Node>,
}

#[derive(Debug, Default)]
struct Node {
    name: String,
    /// Who uses it.
    users: Vec<String>,
    /// The user that is nearest to what was asked for.
    towards: Option<String>,
}

impl BuildGraph {
    /// A graph of derivations: path, name, inputs. What is asked for are the paths in `wanted`; inputs that are not among
    /// the derivations are there already.
    pub fn new(derivations: Vec<(String, String, Vec<String>)>, wanted: &[String]) -> Self {
        let mut nodes: HashMap<String, Node> = HashMap::new();
        let mut inputs = HashMap::new();
        for (path, name, uses) in derivations {
            nodes.insert(path.clone(), Node { name, ..Node::default() });
            inputs.insert(path, uses);
        }
        for (user, uses) in &inputs {
            for used in uses {
                if let Some(node) = nodes.get_mut(used) {
                    node.users.push(user.clone());
                }
            }
        }
        // Breadth first from what was asked for: who meets an input first is nearest.
        let mut queue: VecDeque<String> = wanted.iter().filter(|path| nodes.contains_key(*path)).cloned().collect();
        let mut seen: std::collections::HashSet<String> = queue.iter().cloned().collect();
        while let Some(user) = queue.pop_front() {
            for used in inputs.get(&user).into_iter().flatten() {
                let Some(node) = nodes.get_mut(used) else { continue };
                if seen.insert(used.clone()) {
                    node.towards = Some(user.clone());
                    queue.push_back(used.clone());
                }
            }
        }
        Self { nodes }
    }

    /// The names from the direct user of a derivation up to what was asked for.
    pub fn chain(&self, path: &str) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = self.nodes.get(path).and_then(|node| node.towards.as_deref());
        while let Some(node) = at.and_then(|path| self.nodes.get(path)) {
            names.push(node.name.as_str());
            at = node.towards.as_deref();
        }
        names
    }

    /// Everything that cannot be built before a derivation is, by name, in byte order.
    pub fn waiting(&self, path: &str) -> Vec<&str> {
        let mut found: HashMap<&str, &str> = HashMap::new();
        let mut open: Vec<&str> = vec![path];
        while let Some(path) = open.pop() {
            for user in self.nodes.get(path).into_iter().flat_map(|node| &node.users) {
                if let Some(node) = self.nodes.get(user)
                    && found.insert(user, &node.name).is_none()
                {
                    open.push(user);
                }
            }
        }
        let mut names: Vec<&str> = found.into_values().collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_lead_to_what_was_asked_for_and_everything_above_waits() {
        let one = |path: &str, uses: &[&str]| {
            (path.to_owned(), format!("n-{path}"), uses.iter().map(|&used| used.to_owned()).collect())
        };
        let graph = BuildGraph::new(
            vec![
                one("hello", &["stdenv", "there"]),
                one("stdenv", &["gcc", "bash"]),
                one("gcc", &["bash"]),
                one("bash", &[]),
            ],
            &["hello".to_owned()],
        );
        assert_eq!(graph.chain("bash"), ["n-stdenv", "n-hello"]);
        assert_eq!(graph.chain("gcc"), ["n-stdenv", "n-hello"]);
        assert!(graph.chain("hello").is_empty() && graph.chain("unknown").is_empty());
        assert_eq!(graph.waiting("bash"), ["n-gcc", "n-hello", "n-stdenv"]);
        assert!(graph.waiting("hello").is_empty());
    }
}
