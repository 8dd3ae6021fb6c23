//! Files and texts to values: reading, compiling, linking, and the table of files already met.

use super::access::Links;
use super::{Eval, Imported, Outcome, lock};
use crate::code::{Code, INTERNAL, SourceText, link};
use crate::compile::Compiler;
use crate::error::{ErrorKind, EvalError};
use crate::heap::RootId;
use crate::options::EvalOptions;
use crate::program::{CompileError, CompileOptions, Constant, PathBase, Program};
use crate::value::{AttrSet, Env, Pos, Thunk, Value};
use crate::world::{PathType, WorldError, WorldErrorClass};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use store_model::{HashAlgorithm, Hasher};
use syntax::{Origin, Source};

/// Names visible in a file besides the base scope.
#[derive(Clone, Copy)]
pub(crate) enum ImportScope {
    /// None.
    Base,
    /// Those of a set (`scopedImport`).
    Set(AttrSet),
}

/// Files that are being read and compiled, each by one thread.
#[derive(Default)]
pub(super) struct Reading {
    files: Mutex<Files>,
    finished: Condvar,
}

#[derive(Default)]
struct Files {
    paths: Vec<Vec<u8>>,
    /// How many threads wait for one of them; mostly nobody, who is not woken.
    waiting: usize,
}

impl Files {
    fn hold(&self, file: &[u8]) -> bool {
        self.paths.iter().any(|path| path == file)
    }
}

/// Whoever reads a file; others may when this is dropped.
struct Reader<'a> {
    reading: &'a Reading,
    file: &'a [u8],
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut files = lock(&self.reading.files);
        files.paths.retain(|file| file != self.file);
        if files.waiting > 0 {
            self.reading.finished.notify_all();
        }
    }
}

impl Reading {
    /// Begins to read a file, or waits until another thread is done with it. Reading needs no thunk, so no circle comes
    /// of that.
    fn begin<'a>(&'a self, eval: &mut Eval, file: &'a [u8]) -> Option<Reader<'a>> {
        {
            let mut files = lock(&self.files);
            if !files.hold(file) {
                files.paths.push(file.to_vec());
                return Some(Reader { reading: self, file });
            }
        }
        eval.arena.blocked(|| {
            let mut files = lock(&self.files);
            files.waiting += 1;
            while files.hold(file) {
                files = self.finished.wait(files).unwrap_or_else(PoisonError::into_inner);
            }
            files.waiting -= 1;
        });
        None
    }
}

impl Eval {
    /// Compiles a text; relative paths in it start from `directory`.
    pub(crate) fn compile(
        &mut self,
        source: Source,
        directory: &[u8],
        scope: Option<&[&[u8]]>,
    ) -> Result<&'static Code, EvalError> {
        let Some(text) = lock(&self.shared.sources).add(source) else {
            return Err(EvalError::eval("more than 4 GB of source text"));
        };
        let key = if scope.is_none() { self.program_key(&text) } else { None };
        if let Some(mut program) = key.and_then(|key| self.kept_program(&key, &text)) {
            self.refuse_home(&program)?;
            return Ok(link(self, &mut program, text, directory));
        }
        // What one very large text needed is not kept for the small ones after it.
        const LARGE: usize = 4 << 20;
        let mut compiler = self.compiler.take().unwrap_or_default();
        let code = self.compile_with(&mut compiler, text.clone(), directory, scope, key);
        self.compiler = (text.source.text().len() <= LARGE).then_some(compiler);
        code
    }

    fn compile_with(
        &mut self,
        compiler: &mut Compiler,
        text: Arc<SourceText>,
        directory: &[u8],
        scope: Option<&[&[u8]]>,
        key: Option<[u8; 32]>,
    ) -> Result<&'static Code, EvalError> {
        let shared = self.shared.clone();
        let options = &shared.options;
        let compile_options = CompileOptions {
            base: &|name| crate::builtins::global_number(name, options),
            scope,
            pipe_operators: options.has_feature("pipe-operators"),
            lints: options.lints,
            max_depth: self.parse_depth(),
            stack_floor: self.stack_limit,
        };
        let program =
            compiler.compile(&text.source, compile_options).map_err(|error| self.compile_failed(&text, error))?;
        if let (Some(key), Some(programs)) = (key, &self.programs)
            && let Some(bytes) = crate::stored::encode(program)
        {
            programs.put(&key, bytes);
        }
        if !program.warnings.is_empty() {
            self.effect()?;
        }
        for warning in &program.warnings {
            self.activity.warn(&warning.message);
        }
        self.refuse_home(program)?;
        Ok(link(self, program, text, directory))
    }

    /// Pure evaluation knows no home folder, not even one that is never looked at.
    fn refuse_home(&self, program: &Program) -> Result<(), EvalError> {
        if !self.shared.options.pure {
            return Ok(());
        }
        let home = program.constants.iter().find_map(|constant| match constant {
            Constant::Path { base: PathBase::Home, text } => Some(&program.text[text.indices()]),
            _ => None,
        });
        match home {
            None => Ok(()),
            Some(literal) => {
                let shown = crate::text::bytes_as_text(literal);
                Err(EvalError::eval(format!("the path '~{shown}' can not be resolved in pure mode")))
            }
        }
    }

    /// The digest of all that compiling a text depends on, if compiled files are kept.
    fn program_key(&self, text: &SourceText) -> Option<[u8; 32]> {
        // A short text is compiled before it could be looked up.
        const SHORT: usize = 512;
        let bytes = text.source.text();
        if self.programs.is_none() || bytes.len() < SHORT {
            return None;
        }
        let EvalOptions { experimental_features, pure, lints, .. } = &self.shared.options;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(format!("{experimental_features:?} {pure} {lints:?}\n").as_bytes());
        hasher.update(bytes);
        hasher.finish().digest().try_into().ok()
    }

    fn kept_program(&self, key: &[u8; 32], text: &SourceText) -> Option<crate::program::Program> {
        let length = u32::try_from(text.source.text().len()).ok()?;
        let bytes = self.programs.as_ref()?.get(key)?;
        crate::stored::decode(&bytes, length, crate::builtins::global_count())
    }

    /// Shows a text as it was understood.
    pub(crate) fn parse_and_print(
        &mut self,
        source: Source,
        print: &crate::compile::PrintOptions<'_>,
    ) -> Result<Vec<u8>, EvalError> {
        let Some(text) = lock(&self.shared.sources).add(source) else {
            return Err(EvalError::eval("more than 4 GB of source text"));
        };
        let shared = self.shared.clone();
        let options = &shared.options;
        let compile_options = CompileOptions {
            base: &|name| crate::builtins::global_number(name, options),
            scope: None,
            pipe_operators: options.has_feature("pipe-operators"),
            lints: options.lints,
            max_depth: self.parse_depth(),
            stack_floor: self.stack_limit,
        };
        let mut compiler = self.compiler.take().unwrap_or_default();
        let printed = compiler.parse_and_print(&text.source, compile_options, print);
        self.compiler = Some(compiler);
        let (shown, warnings) = printed.map_err(|error| self.compile_failed(&text, error))?;
        warnings.iter().for_each(|warning| self.activity.warn(&warning.message));
        Ok(shown)
    }

    /// How deep an expression may nest on the stack there is.
    fn parse_depth(&self) -> u32 {
        let here = 0u8;
        let room = (std::ptr::from_ref(&here) as usize).saturating_sub(self.stack_limit);
        u32::try_from(room / 4096).unwrap_or(u32::MAX).max(syntax::DEFAULT_MAX_DEPTH)
    }

    /// Evaluates a text.
    pub(crate) fn eval_source(&mut self, source: Source, directory: &[u8]) -> Outcome {
        let code = self.compile(source, directory, None)?;
        self.eval(code, code.root, Env::NONE)
    }

    /// The value of a file (`import`): evaluated once per file.
    pub(crate) fn import(&mut self, path: &[u8]) -> Outcome {
        let known = lock(&self.shared.imports).get(path).copied();
        let root = match known {
            Some(Imported { root, reads }) => {
                self.meet(reads);
                root
            }
            None => {
                let (root, reads) = self.witness(|eval| eval.import_first(path));
                let root = root?;
                lock(&self.shared.imports).insert(path.to_vec(), Imported { root, reads });
                root
            }
        };
        let value = lock(&self.shared.roots).get(root);
        self.force_file(value, path)
    }

    /// Evaluates what a file holds; failures name it, except those of who met it while it was being evaluated.
    fn force_file(&mut self, value: Value, path: &[u8]) -> Outcome {
        let running = value.as_thunk().is_some_and(|thunk| self.is_running(thunk));
        let failed = match self.force(value) {
            Err(error) if !running => error,
            outcome => return outcome,
        };
        let file = self.resolve_expression_path(path).unwrap_or_else(|_| path.to_vec());
        let shown = crate::text::bytes_as_text(&file);
        Err(failed.trace(Pos::NONE, format!("while evaluating the file '{shown}':")))
    }

    /// Finds and compiles a file that was not asked for by this name before.
    fn import_first(&mut self, path: &[u8]) -> Result<RootId, EvalError> {
        let file = self.resolve_expression_path(path)?;
        let known = lock(&self.shared.imports).get(&file).copied();
        if let Some(Imported { root, reads }) = known {
            self.meet(reads);
            return Ok(root);
        }
        let shared = self.shared.clone();
        let Some(_reader) = shared.reading.begin(self, &file) else {
            // Another thread has read it meanwhile, or failed to.
            return self.import_first(path);
        };
        let known = lock(&self.shared.imports).get(&file).copied();
        if let Some(Imported { root, reads }) = known {
            self.meet(reads);
            return Ok(root);
        }
        let (code, reads) = self.witness(|eval| eval.read_code(&file, None));
        let code = code?;
        let thunk = Thunk::expression(&mut self.arena, code.number, code.root.0, Env::NONE);
        let root = lock(&self.shared.roots).add(thunk.into());
        lock(&self.shared.imports).insert(file.clone(), Imported { root, reads });
        Ok(root)
    }

    /// The value of a file, which is not kept.
    pub(crate) fn run_file(&mut self, path: &[u8]) -> Outcome {
        let file = self.resolve_expression_path(path)?;
        let code = self.read_code(&file, None)?;
        self.eval(code, code.root, Env::NONE)
    }

    /// The value of a file with more names in scope (`scopedImport`): evaluated each time.
    pub(crate) fn import_scoped(&mut self, path: &[u8], scope: ImportScope) -> Outcome {
        let ImportScope::Set(set) = scope else { return self.import(path) };
        let file = self.resolve_expression_path(path)?;
        let attrs: Vec<_> = set.iter().collect();
        let names: Vec<&[u8]> = attrs.iter().map(|attr| self.shared.symbols.bytes(attr.name)).collect();
        let env = self.env_of(&attrs);
        let code = self.read_code(&file, Some(&names))?;
        self.eval(code, code.root, env)
    }

    /// A text with more names in scope, to be evaluated later.
    pub(crate) fn delay_source_in(
        &mut self,
        source: Source,
        directory: &[u8],
        set: AttrSet,
    ) -> Result<Thunk, EvalError> {
        let attrs: Vec<_> = set.iter().collect();
        let names: Vec<&[u8]> = attrs.iter().map(|attr| self.shared.symbols.bytes(attr.name)).collect();
        let code = self.compile(source, directory, Some(&names))?;
        let env = self.env_of(&attrs);
        Ok(Thunk::expression(&mut self.arena, code.number, code.root.0, env))
    }

    fn env_of(&mut self, attrs: &[crate::value::Attr]) -> Env {
        let env = Env::NONE.extend(&mut self.arena, attrs.len());
        for (slot, attr) in attrs.iter().enumerate() {
            env.slot(slot as u32).set(attr.value.get());
        }
        env
    }

    fn read_code(&mut self, file: &[u8], scope: Option<&[&[u8]]>) -> Result<&'static Code, EvalError> {
        let text = match internal_file(file) {
            Some(text) => text.as_bytes().to_vec(),
            None => {
                let follow = |path: &[u8]| self.follow(path, Links::All);
                self.read_following(file, follow, |path| self.shared.world.read_file(path))?.1
            }
        };
        let name = String::from_utf8_lossy(file).into_owned();
        let source =
            Source::new(Origin::File(name.into()), text).map_err(|error| EvalError::eval(error.to_string()))?;
        self.compile(source, parent(file), scope)
    }

    /// The file that an expression path means: links followed, `default.nix` of a folder.
    pub(crate) fn resolve_expression_path(&mut self, path: &[u8]) -> Result<Vec<u8>, EvalError> {
        const MOST_LINKS: usize = 1024;
        if internal_file(path).is_some() {
            return Ok(path.to_vec());
        }
        let mut path = path.to_vec();
        for _ in 0..MOST_LINKS {
            self.check_readable(&self.target(&path, Links::Folders)?)?;
            let kind = self.shared.world.stat(&path);
            match kind.map_err(|error| self.why(parent(&path), Links::All, error))? {
                Some(PathType::Symlink) => {
                    let target = self.shared.world.read_link(&path)?;
                    let joined =
                        if target.starts_with(b"/") { target } else { [parent(&path), b"/", &target].concat() };
                    path = crate::code::canonical(&joined);
                }
                Some(PathType::Directory) => {
                    if path != b"/" {
                        path.push(b'/');
                    }
                    path.extend_from_slice(b"default.nix");
                    return Ok(path);
                }
                Some(_) => return Ok(path),
                None => {
                    let shown = crate::text::bytes_as_text(&path);
                    let message = format!("path '{shown}' does not exist");
                    return Err(WorldError::new(WorldErrorClass::NotFound, message).into());
                }
            }
        }
        let shown = crate::text::bytes_as_text(&path);
        Err(EvalError::eval(format!("too many symbolic links encountered while traversing the path '{shown}'")))
    }
}

/// The text of a file that is part of the evaluator (`<nix/…>`).
fn internal_file(path: &[u8]) -> Option<&'static str> {
    match path.strip_prefix(INTERNAL.as_bytes())? {
        b"fetchurl.nix" => Some(include_str!("../builtins/fetchurl.nix")),
        _ => None,
    }
}

/// The folder of a path.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

impl Eval {
    #[cold]
    fn compile_failed(&self, text: &SourceText, error: CompileError) -> EvalError {
        // Nobody sees the error of a helper either; its activity is a silent one.
        error.warnings.iter().for_each(|warning| self.activity.warn(&warning.message));
        let kind = if error.undefined_variable { ErrorKind::UndefinedVariable } else { ErrorKind::Syntax };
        EvalError::new(kind, error.message).at(text.pos_of(error.offset))
    }
}
