//! YAML as a tree whose every node knows where it was written.
//!
//! Built from the parser's events and not by its loader: the loader recurses as deep as the text does, keeps of two
//! equal keys the last one, and expands aliases of aliases. Here depth and size are bounded, so that no file, however
//! made, costs more than its own reading.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::path::{Path, Step};
use super::problem::Problem;

/// Deeper than any key of the configuration, by far.
const MAX_DEPTH: usize = 32;

/// Enough for thousands of accounts; what a small file with aliases of aliases would exceed.
pub const MAX_NODES: usize = 200_000;

#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub data: Data,
}

/// The line and column of the key; of the value itself in a list, which has no keys. Both from 1.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// The path as written, which merging does not change.
    pub path: Path,
}

#[derive(Clone, Debug)]
pub enum Data {
    Null,
    Bool(bool),
    Integer(i64),
    /// Always finite.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// The node at `path`, or the nearest one above it.
    pub fn nearest(&self, path: &[Step]) -> (&Node, usize) {
        let mut node = self;
        for (depth, step) in path.iter().enumerate() {
            match node.child(step) {
                Some(child) => node = child,
                None => return (node, depth),
            }
        }
        (node, path.len())
    }

    fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.data, step) {
            (Data::Map(map), Step::Key(key)) => map.get(key),
            (Data::List(list), Step::Index(index)) => list.get(*index),
            _ => None,
        }
    }

    pub fn child_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (&mut self.data, step) {
            (Data::Map(map), Step::Key(key)) => map.get_mut(key),
            (Data::List(list), Step::Index(index)) => list.get_mut(*index),
            _ => None,
        }
    }

    /// The same without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Integer(value) => (*value).into(),
            Data::Float(value) => (*value).into(),
            Data::Text(value) => value.as_str().into(),
            Data::List(list) => list.iter().map(Node::to_json).collect(),
            Data::Map(map) => map.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }

    /// How many nodes there are, this one included.
    pub fn size(&self) -> usize {
        let below: usize = match &self.data {
            Data::List(list) => list.iter().map(Node::size).sum(),
            Data::Map(map) => map.values().map(Node::size).sum(),
            Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Float(_) | Data::Text(_) => 0,
        };
        1 + below
    }

    /// Tells each node its own path.
    fn place_below(&mut self, path: Path) {
        match &mut self.data {
            Data::List(list) => {
                for (index, node) in list.iter_mut().enumerate() {
                    node.place_below(path.index(index));
                }
            }
            Data::Map(map) => {
                for (key, node) in map {
                    node.place_below(path.key(key));
                }
            }
            Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Float(_) | Data::Text(_) => {}
        }
        self.place.path = path;
    }
}

/// Reads one document. What is wrong but can be stepped over is told beside the tree; without a tree, nothing more
/// can be said about the text.
pub fn read(text: &str) -> (Option<Node>, Vec<Problem>) {
    let mut builder = Builder::default();
    let finished = builder.read(text);
    let mut problems = builder.problems;
    if let Err(stop) = finished {
        problems.push(stop);
        return (None, problems);
    }
    let mut root = builder.root;
    if let Some(root) = &mut root {
        root.place_below(Path::default());
    }
    (root, problems)
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// The lists and maps around the next node, outermost first.
    open: Vec<Open>,
    /// What an anchor names, and how many nodes lie below it.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Problem>,
}

/// A list or map whose end is still to come.
struct Open {
    node: Node,
    anchor: usize,
    nodes_before: usize,
    key: Key,
}

enum Key {
    /// In a list, or in a map where a key comes next.
    None,
    Read(String, Marker),
    /// What no map can have as a key; its value is read and dropped.
    Unusable,
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<(), Problem> {
        // The parser takes the mark for a part of the first key when something else is wrong near it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut parser = Parser::<StrInput>::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| syntax_problem(&error))?;
            if let Event::DocumentStart(_) = event
                && self.root.is_some()
            {
                return Err(problem(span.start, "a second document begins here; expected one document only"));
            }
            self.take(event, span.start)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let data = self.scalar(text, style, tag.as_ref(), at);
                self.add(node(data, at), anchor, 0)
            }
            Event::SequenceStart(anchor, tag) => self.open(Data::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(anchor, tag) => self.open(Data::Map(BTreeMap::new()), anchor, tag.as_deref(), at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.add(done.node, done.anchor, self.nodes - done.nodes_before),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, at),
        }
    }

    /// Puts what the anchor names here once more, paid for in full before it is copied.
    fn alias(&mut self, anchor: usize, at: Marker) -> Result<(), Problem> {
        let size = self.anchors.get(&anchor).map(|(_, size)| *size);
        self.count(size.unwrap_or_default(), at)?;
        match self.anchors.get(&anchor) {
            Some((target, below)) => self.add(target.clone(), 0, *below),
            None => Err(problem(at, "an alias stands within what it names")),
        }
    }

    fn open(&mut self, data: Data, anchor: usize, tag: Option<&Tag>, at: Marker) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(problem(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            self.refuse_tag(at);
        }
        let nodes_before = self.nodes;
        self.open.push(Open { node: node(data, at), anchor, nodes_before, key: Key::None });
        Ok(())
    }

    /// Puts a finished node where it belongs: into the list or map around it, as its next key, or at the root.
    fn add(&mut self, mut node: Node, anchor: usize, below: usize) -> Result<(), Problem> {
        self.count(1, Marker::default())?;
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), below));
        }
        let Some(around) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let map = match &mut around.node.data {
            Data::Map(map) => map,
            Data::List(list) => {
                list.push(node);
                return Ok(());
            }
            Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Float(_) | Data::Text(_) => return Ok(()),
        };
        match std::mem::replace(&mut around.key, Key::None) {
            Key::None => match key(node) {
                Ok(key) => around.key = key,
                Err(problem) => {
                    around.key = Key::Unusable;
                    self.problems.push(problem);
                }
            },
            Key::Unusable => {}
            Key::Read(key, at) => {
                (node.place.line, node.place.column) = line_and_column(at);
                if let Some(first) = map.get(&key) {
                    let message = format!("`{key}` is given twice, first in line {}", first.place.line);
                    self.problems.push(problem(at, message));
                } else {
                    map.insert(key, node);
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>, at: Marker) -> Data {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            self.refuse_tag(at);
        }
        // YAML 1.2 reads `0123` as 123; whoever writes a leading zero means digits, not a number.
        let digits = style == ScalarStyle::Plain && is_zero_padded(&text);
        let style = if digits { ScalarStyle::SingleQuoted } else { style };
        match Scalar::parse_from_cow_and_metadata(text, style, tag) {
            Some(Scalar::Null) => Data::Null,
            Some(Scalar::Boolean(value)) => Data::Bool(value),
            Some(Scalar::Integer(value)) => Data::Integer(value),
            Some(Scalar::FloatingPoint(value)) if value.is_finite() => Data::Float(value.into_inner()),
            Some(Scalar::FloatingPoint(_)) => {
                self.problems.push(problem(at, "expected a finite number"));
                // Harmless in its place: the problem is told already.
                Data::Float(1.0)
            }
            Some(Scalar::String(value)) => Data::Text(value.into_owned()),
            None => {
                self.problems.push(problem(at, "the value is not of the type that its tag says"));
                Data::Null
            }
        }
    }

    fn refuse_tag(&mut self, at: Marker) {
        self.problems.push(problem(at, "tags of one's own (`!name`) have no meaning here; leave it out"));
    }

    fn count(&mut self, more: usize, at: Marker) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err(problem(at, format!("more than {MAX_NODES} values, aliases counted in full")));
        }
        Ok(())
    }
}

fn key(node: Node) -> Result<Key, Problem> {
    // The parser counts columns from 0.
    let at = Marker::new(0, node.place.line, node.place.column.saturating_sub(1));
    match node.data {
        Data::Text(text) => Ok(Key::Read(text, at)),
        other => Err(problem(at, format!("expected a text as key, found {}", other.kind()))),
    }
}

impl Data {
    /// The kind in plain words, never the value: it may be a secret at the wrong key.
    pub fn kind(&self) -> &'static str {
        match self {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Integer(_) | Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }
}

fn is_zero_padded(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn node(data: Data, at: Marker) -> Node {
    let (line, column) = line_and_column(at);
    Node { place: Place { line, column, path: Path::default() }, data }
}

/// The parser counts lines from 1 and columns from 0.
fn line_and_column(at: Marker) -> (usize, usize) {
    (at.line(), at.col() + 1)
}

fn problem(at: Marker, message: impl Into<String>) -> Problem {
    let (line, column) = line_and_column(at);
    Problem::at(&Place { line, column, path: Path::default() }, message.into())
}

fn syntax_problem(error: &ScanError) -> Problem {
    problem(*error.marker(), format!("this is not YAML: {}", error.info()))
}
