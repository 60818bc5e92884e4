//! A template in the words of our engine, with the operators of Python.
//!
//! In: a template as a model folder has it. Out: the same template, where `%`, slices, comparisons and loops call functions
//! of ours (see `python.rs`), because the engine's own differ from Python's: `'%s' % x` is an error there, and `x[3:0:-1]`
//! has one item too many. Lines stay where they were, so that an error names the right one.
//! Example: `{{ '%s' % x }}` becomes `{{ __mod("%s", x) }}`.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Macro, Spanned, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
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
    let mut printer = Printer { out: String::with_capacity(2 * text.len()), line: 1 };
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
        for item in &list.items {
            let many = matches!(item, Expr::List(_));
            self.put(if many { "(" } else { "" });
            self.target(item)?;
            self.put(if many { "), " } else { ", " });
        }
        Ok(())
    }

    fn parameters(&mut self, declared: &Spanned<Macro>) -> Result<(), Error> {
        self.put("(");
        let plain = declared.args.len() - declared.defaults.len();
        for (at, name) in declared.args.iter().enumerate() {
            self.put(if at > 0 { ", " } else { "" });
            self.postfix(name)?;
            if let Some(value) = at.checked_sub(plain).and_then(|at| declared.defaults.get(at)) {
                self.put("=");
                self.expression(value)?;
            }
        }
        self.put(")");
        Ok(())
    }

    /// Filters without what they are applied to.
    fn chain(&mut self, filter: &Expr) -> Result<(), Error> {
        let Expr::Filter(filter) = filter else { return Ok(()) };
        if let Some(before) = &filter.expr {
            self.chain(before)?;
            self.put(" | ");
        }
        self.put(filter.name);
        if filter.args.is_empty() { Ok(()) } else { self.arguments(&filter.args) }
    }

    fn arguments(&mut self, arguments: &[CallArg]) -> Result<(), Error> {
        self.put("(");
        for (at, argument) in arguments.iter().enumerate() {
            self.put(if at > 0 { ", " } else { "" });
            match argument {
                CallArg::Pos(value) => self.expression(value)?,
                CallArg::Kwarg(name, value) => {
                    self.put(name);
                    self.put("=");
                    self.expression(value)?;
                }
                CallArg::PosSplat(value) => {
                    self.put("*");
                    self.operand(value)?;
                }
                CallArg::KwargSplat(value) => {
                    self.put("**");
                    self.operand(value)?;
                }
            }
        }
        self.put(")");
        Ok(())
    }

    fn list(&mut self, items: &[Expr]) -> Result<(), Error> {
        for item in items {
            self.expression(item)?;
            self.put(", ");
        }
        Ok(())
    }

    /// An expression that something is applied to: in parentheses where it is more than a name with its postfixes.
    fn postfix(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Call(_) | Expr::Slice(_) => {
                self.expression(expression)
            }
            _ => {
                self.put("(");
                self.expression(expression)?;
                self.put(")");
                Ok(())
            }
        }
    }

    /// An operand of something: literals need no parentheses.
    fn operand(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Const(_) | Expr::List(_) | Expr::Map(_) => self.expression(expression),
            Expr::BinOp(one) if function(one.op).is_some() => self.expression(expression),
            other => self.postfix(other),
        }
    }

    fn expression(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Var(one) => self.put(one.id),
            Expr::Const(one) => self.constant(&one.value)?,
            Expr::UnaryOp(one) if matches!(one.op, UnaryOpKind::Neg) => self.call(NEGATE, &[Some(&one.expr)])?,
            Expr::UnaryOp(one) => {
                self.put("not ");
                self.operand(&one.expr)?;
            }
            Expr::BinOp(one) => {
                if let Some((name, turned)) = function(one.op) {
                    let (left, right) = if turned { (&one.right, &one.left) } else { (&one.left, &one.right) };
                    return self.call(name, &[Some(left), Some(right)]);
                }
                // A sum is as long as a template is; parentheses would nest as deep.
                match &one.left {
                    Expr::BinOp(left) if chains(left.op, one.op) => self.expression(&one.left)?,
                    left => self.operand(left)?,
                }
                self.put(operator(one.op));
                self.operand(&one.right)?;
            }
            Expr::Compare(one) => {
                self.operand(&one.expr)?;
                for next in &one.ops {
                    self.put(comparison(next.op));
                    self.operand(&next.expr)?;
                }
            }
            Expr::IfExpr(one) => {
                self.operand(&one.true_expr)?;
                self.put(" if ");
                self.operand(&one.test_expr)?;
                if let Some(other) = &one.false_expr {
                    self.put(" else ");
                    self.operand(other)?;
                }
            }
            Expr::Slice(one) => {
                self.call(SLICE, &[Some(&one.expr), one.start.as_ref(), one.stop.as_ref(), one.step.as_ref()])?;
            }
            _ => self.application(expression)?,
        }
        Ok(())
    }

    /// Filters, tests, attributes, items, calls and what is in brackets.
    fn application(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Filter(one) => {
                if let Some(inner) = &one.expr {
                    match inner {
                        Expr::Filter(_) => self.expression(inner)?,
                        _ => self.operand(inner)?,
                    }
                    self.put("|");
                }
                self.put(one.name);
                if !one.args.is_empty() {
                    self.arguments(&one.args)?;
                }
            }
            Expr::Test(one) => {
                self.operand(&one.expr)?;
                self.put(" is ");
                self.put(one.name);
                if !one.args.is_empty() {
                    self.arguments(&one.args)?;
                }
            }
            Expr::GetAttr(one) => {
                self.postfix(&one.expr)?;
                self.put(".");
                self.put(one.name);
            }
            Expr::GetItem(one) => {
                self.postfix(&one.expr)?;
                self.put("[");
                self.expression(&one.subscript_expr)?;
                self.put("]");
            }
            Expr::Call(one) => {
                self.postfix(&one.expr)?;
                self.arguments(&one.args)?;
            }
            Expr::List(one) => {
                self.put("[");
                self.list(&one.items)?;
                self.put("]");
            }
            Expr::Tuple(one) => {
                self.put("(");
                self.list(&one.items)?;
                self.put(")");
            }
            Expr::Map(one) => {
                self.put("{");
                for (key, value) in one.keys.iter().zip(&one.values) {
                    self.expression(key)?;
                    self.put(": ");
                    self.expression(value)?;
                    self.put(", ");
                }
                self.put("}");
            }
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, name: &str, arguments: &[Option<&Expr>]) -> Result<(), Error> {
        self.put(name);
        self.put("(");
        for argument in arguments {
            match argument {
                Some(argument) => self.expression(argument)?,
                None => self.put("none"),
            }
            self.put(", ");
        }
        self.put(")");
        Ok(())
    }

    fn constant(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::String => self.literal(value.as_str().unwrap_or_default()),
            ValueKind::None => self.put("none"),
            ValueKind::Bool => self.put(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.put(&value.to_string()),
            ValueKind::Number => {
                let number = f64::try_from(value.clone())?;
                self.put(&format!("{number:?}"));
            }
            kind => return Err(Error::new(ErrorKind::SyntaxError, format!("a literal of type {kind}"))),
        }
        Ok(())
    }

    fn literal(&mut self, text: &str) {
        self.put("\"");
        self.put(&text.replace('\\', "\\\\").replace('"', "\\\""));
        self.put("\"");
    }
}

/// The function for an operator, and whether its operands change places.
fn function(kind: BinOpKind) -> Option<(&'static str, bool)> {
    match kind {
        BinOpKind::Rem => Some((MOD, false)),
        BinOpKind::In => Some((CONTAINS, false)),
        BinOpKind::Lt => Some((LESS, false)),
        BinOpKind::Lte => Some((AT_MOST, false)),
        BinOpKind::Gt => Some((LESS, true)),
        BinOpKind::Gte => Some((AT_MOST, true)),
        _ => None,
    }
}

/// Whether `(a left b) right c` may lose its parentheses.
fn chains(left: BinOpKind, right: BinOpKind) -> bool {
    use BinOpKind::{Add, Concat, ScAnd, ScOr, Sub};
    matches!((left, right), (Add | Sub, Add | Sub) | (Concat, Concat) | (ScAnd, ScAnd) | (ScOr, ScOr))
}

fn operator(kind: BinOpKind) -> &'static str {
    match kind {
        BinOpKind::Eq => " == ",
        BinOpKind::Ne => " != ",
        BinOpKind::Lt => " < ",
        BinOpKind::Lte => " <= ",
        BinOpKind::Gt => " > ",
        BinOpKind::Gte => " >= ",
        BinOpKind::ScAnd => " and ",
        BinOpKind::ScOr => " or ",
        BinOpKind::Add => " + ",
        BinOpKind::Sub => " - ",
        BinOpKind::Mul => " * ",
        BinOpKind::Div => " / ",
        BinOpKind::FloorDiv => " // ",
        BinOpKind::Rem => " % ",
        BinOpKind::Pow => " ** ",
        BinOpKind::Concat => " ~ ",
        BinOpKind::In => " in ",
    }
}

fn comparison(kind: CompareOpKind) -> &'static str {
    match kind {
        CompareOpKind::Eq => " == ",
        CompareOpKind::Ne => " != ",
        CompareOpKind::Lt => " < ",
        CompareOpKind::Lte => " <= ",
        CompareOpKind::Gt => " > ",
        CompareOpKind::Gte => " >= ",
        CompareOpKind::In => " in ",
        CompareOpKind::NotIn => " not in ",
    }
}
