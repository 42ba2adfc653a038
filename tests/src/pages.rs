//! The documents of the repository, and the fenced blocks in them.

use std::fs;

use crate::{tree, workspace};

/// A document in Markdown.
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl Page {
    /// Reads one, by its path in the repository.
    pub fn read(name: &str) -> Page {
        let text = fs::read_to_string(workspace().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Page { name: name.to_owned(), text }
    }

    /// README.md and all below `ops/docs`.
    pub fn all() -> Vec<Page> {
        let below = "ops/docs";
        let files = tree::files(&workspace().join(below)).into_iter();
        let pages = files.filter(|file| file.extension().is_some_and(|extension| extension == "md"));
        let names = pages.map(|file| format!("{below}/{}", file.display()));
        ["README.md".to_owned()].into_iter().chain(names).map(|name| Page::read(&name)).collect()
    }

    /// The blocks in a language, without their fences.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(found) = line.trim_start().strip_prefix("```") else { continue };
            let indent = line.len() - line.trim_start().len();
            let inner = lines.by_ref().take_while(|line| line.trim() != "```");
            let inner: String =
                inner.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
            if found == language {
                blocks.push(inner);
            }
        }
        blocks
    }
}
