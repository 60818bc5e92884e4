//! A template in the words of our engine, with the operators of Python.
//!
//! In: a template as a model folder has it. Out: the same template, where `%`, slices, comparisons and loops call functions
//! of ours (see `python.rs`), because the engine's own differ from Python's: `'%s' % x` is an error there, and `x[3:0:-1]`
//! has one item too many. Lines stay where they were, so that an error names the right one.
//! Example: `{{ '%s' % x }}` becomes `{{ __mod("%s", x) }}`.

mod expression;

use minijinja::machinery::ast::{Expr, Macro, Spanned, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

/// The function for `%`.
pub(super) const MOD: &str = "__mod";
/// The function for a slice.
pub(super) const SLICE: &str = "__slice";
/// The function for what a loop goes through.
pub(super) const ITERATE: &str = "__iterate";
/// The function for `in`.
pub(super) const CONTAINS: &str = "__contains";
/// The function for `-`.
pub(super) const NEGATE: &str = "__negate";
/// The functions for `<` and `<=`.
pub(super) const LESS: &str = "__less";
/// See [`LESS`].
pub(super) const AT_MOST: &str = "__at_most";

/// Rewrites a template that is written in `syntax` to one in which every blank is meant.
///
/// # Errors
///
/// When it is no template.
pub(super) fn rewrite(text: &str, name: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    let mut printer = Printer {
        out: String::with_capacity(2 * text.len()),
        line: 1,
    };
    match parse(text, name, syntax)? {
        Stmt::Template(template) => printer.body(&template.children)?,
        other => printer.statement(&other)?,
    }
    Ok(printer.out)
}

struct Printer {
    out: String,
    /// The line on which `out` ends.
    line: u32,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.line += text.matches('\n').count() as u32;
        self.out.push_str(text);
    }

    /// Begins a tag, on the line on which it was.
    fn open(&mut self, delimiter: &str, span: Span) {
        self.put(delimiter);
        while self.line < u32::from(span.start_line) {
            self.put("\n");
        }
        self.put(" ");
    }

    fn tag(&mut self, span: Span, words: &str) {
        self.open("{%", span);
        self.put(words);
    }

    fn close(&mut self) {
        self.put(" %}");
    }

    fn end(&mut self, words: &str) {
        self.put("{% ");
        self.put(words);
        self.close();
    }

    fn body(&mut self, statements: &[Stmt]) -> Result<(), Error> {
        statements.iter().try_for_each(|one| self.statement(one))
    }

    fn statement(&mut self, statement: &Stmt) -> Result<(), Error> {
        match statement {
            Stmt::Template(all) => self.body(&all.children),
            Stmt::EmitRaw(raw) => {
                self.raw(raw.raw);
                Ok(())
            }
            Stmt::EmitExpr(emit) => {
                self.open("{{", emit.span());
                self.expression(&emit.expr)?;
                self.put(" }}");
                Ok(())
            }
            Stmt::ForLoop(_) | Stmt::IfCond(_) => self.flow(statement),
            Stmt::Set(_) | Stmt::SetBlock(_) | Stmt::WithBlock(_) => self.assignment(statement),
            Stmt::Macro(_) | Stmt::CallBlock(_) | Stmt::Do(_) | Stmt::FilterBlock(_) => {
                self.call_statement(statement)
            }
            Stmt::AutoEscape(block) => self.body(&block.body),
            Stmt::Block(block) => self.body(&block.body),
            Stmt::Continue(one) => {
                self.tag(one.span(), "continue");
                self.close();
                Ok(())
            }
            Stmt::Break(one) => {
                self.tag(one.span(), "break");
                self.close();
                Ok(())
            }
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                Err(Error::from(ErrorKind::TemplateNotFound))
            }
        }
    }

    /// Macros, calls and filters as statements.
    fn call_statement(&mut self, statement: &Stmt) -> Result<(), Error> {
        match statement {
            Stmt::Macro(one) => {
                self.tag(one.span(), &format!("macro {}", one.name));
                self.parameters(one)?;
                self.close();
                self.body(&one.body)?;
                self.end("endmacro");
                Ok(())
            }
            Stmt::CallBlock(block) => {
                self.tag(block.span(), "call");
                self.parameters(&block.macro_decl)?;
                self.put(" ");
                self.postfix(&block.call.expr)?;
                self.arguments(&block.call.args)?;
                self.close();
                self.body(&block.macro_decl.body)?;
                self.end("endcall");
                Ok(())
            }
            Stmt::Do(one) => {
                self.tag(one.span(), "do ");
                self.postfix(&one.call.expr)?;
                self.arguments(&one.call.args)?;
                self.close();
                Ok(())
            }
            Stmt::FilterBlock(block) => {
                self.tag(block.span(), "filter ");
                self.chain(&block.filter)?;
                self.close();
                self.body(&block.body)?;
                self.end("endfilter");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Text between tags; as a literal where it could be taken for a tag.
    fn raw(&mut self, text: &str) {
        if text.contains('{') {
            self.put("{{ ");
            self.literal(text);
            self.put(" }}");
        } else {
            self.put(text);
        }
    }

    fn flow(&mut self, statement: &Stmt) -> Result<(), Error> {
        match statement {
            Stmt::ForLoop(one) => {
                self.tag(one.span(), "for ");
                self.target(&one.target)?;
                self.put(" in ");
                self.call(ITERATE, &[Some(&one.iter)])?;
                if let Some(filter) = &one.filter_expr {
                    self.put(" if ");
                    self.operand(filter)?;
                }
                self.put(if one.recursive { " recursive" } else { "" });
                self.close();
                self.body(&one.body)?;
                if !one.else_body.is_empty() {
                    self.end("else");
                    self.body(&one.else_body)?;
                }
                self.end("endfor");
            }
            Stmt::IfCond(one) => {
                let (mut one, mut word) = (one, "if ");
                loop {
                    self.tag(one.span(), word);
                    self.operand(&one.expr)?;
                    self.close();
                    self.body(&one.true_body)?;
                    match one.false_body.as_slice() {
                        // Written as `elif`, however deep it is parsed.
                        [Stmt::IfCond(next)] => (one, word) = (next, "elif "),
                        rest => {
                            if !rest.is_empty() {
                                self.end("else");
                                self.body(rest)?;
                            }
                            break;
                        }
                    }
                }
                self.end("endif");
            }
            _ => {}
        }
        Ok(())
    }

    fn assignment(&mut self, statement: &Stmt) -> Result<(), Error> {
        match statement {
            Stmt::Set(one) => {
                self.tag(one.span(), "set ");
                self.target(&one.target)?;
                self.put(" = ");
                self.expression(&one.expr)?;
                self.close();
            }
            Stmt::SetBlock(one) => {
                self.tag(one.span(), "set ");
                self.target(&one.target)?;
                if let Some(filter) = &one.filter {
                    self.put(" | ");
                    self.chain(filter)?;
                }
                self.close();
                self.body(&one.body)?;
                self.end("endset");
            }
            Stmt::WithBlock(one) => {
                self.tag(one.span(), "with ");
                for (at, (target, value)) in one.assignments.iter().enumerate() {
                    self.put(if at > 0 { ", " } else { "" });
                    let many = matches!(target, Expr::List(_));
                    self.put(if many { "(" } else { "" });
                    self.target(target)?;
                    self.put(if many { ") = " } else { " = " });
                    self.expression(value)?;
                }
                self.close();
                self.body(&one.body)?;
                self.end("endwith");
            }
            _ => {}
        }
        Ok(())
    }

    /// What is assigned to: a name, or several.
    fn target(&mut self, target: &Expr) -> Result<(), Error> {
        let Expr::List(list) = target else {
            return self.postfix(target);
        };
        for (at, item) in list.items.iter().enumerate() {
            let many = matches!(item, Expr::List(_));
            self.put(if at > 0 { ", " } else { "" });
            self.put(if many { "(" } else { "" });
            self.target(item)?;
            self.put(if many { ")" } else { "" });
        }
        // One alone is still a list of one.
        self.put(if list.items.len() == 1 { "," } else { "" });
        Ok(())
    }

    fn parameters(&mut self, declared: &Spanned<Macro>) -> Result<(), Error> {
        self.put("(");
        let plain = declared.args.len() - declared.defaults.len();
        for (at, name) in declared.args.iter().enumerate() {
            self.put(if at > 0 { ", " } else { "" });
            self.postfix(name)?;
            if let Some(value) = at
                .checked_sub(plain)
                .and_then(|at| declared.defaults.get(at))
            {
                self.put("=");
                self.expression(value)?;
            }
        }
        self.put(")");
        Ok(())
    }

    /// Filters without what they are applied to.
    fn chain(&mut self, filter: &Expr) -> Result<(), Error> {
        let Expr::Filter(filter) = filter else {
            return Ok(());
        };
        if let Some(before) = &filter.expr {
            self.chain(before)?;
            self.put(" | ");
        }
        self.put(filter.name);
        if filter.args.is_empty() {
            Ok(())
        } else {
            self.arguments(&filter.args)
        }
    }
}
