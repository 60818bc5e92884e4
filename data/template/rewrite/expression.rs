//! Expressions: what stands in a tag, its operators as calls where they are not the engine's own.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::{AT_MOST, CONTAINS, LESS, MOD, NEGATE, Printer, SLICE};

impl Printer {
    pub(super) fn arguments(&mut self, arguments: &[CallArg]) -> Result<(), Error> {
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
    pub(super) fn postfix(&mut self, expression: &Expr) -> Result<(), Error> {
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
    pub(super) fn operand(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Const(_) | Expr::List(_) | Expr::Map(_) => self.expression(expression),
            Expr::BinOp(one) if function(one.op).is_some() => self.expression(expression),
            other => self.postfix(other),
        }
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
            Expr::Var(one) => self.put(one.id),
            Expr::Const(one) => self.constant(&one.value)?,
            Expr::UnaryOp(one) if matches!(one.op, UnaryOpKind::Neg) => {
                self.call(NEGATE, &[Some(&one.expr)])?
            }
            Expr::UnaryOp(one) => {
                self.put("not ");
                self.operand(&one.expr)?;
            }
            Expr::BinOp(one) => {
                if let Some((name, turned)) = function(one.op) {
                    let (left, right) = if turned {
                        (&one.right, &one.left)
                    } else {
                        (&one.left, &one.right)
                    };
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
                self.call(
                    SLICE,
                    &[
                        Some(&one.expr),
                        one.start.as_ref(),
                        one.stop.as_ref(),
                        one.step.as_ref(),
                    ],
                )?;
            }
            _ => self.application(expression)?,
        }
        Ok(())
    }

    /// Filters, tests, attributes, items and calls.
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
            _ => self.container(expression)?,
        }
        Ok(())
    }

    fn container(&mut self, expression: &Expr) -> Result<(), Error> {
        match expression {
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

    pub(super) fn call(&mut self, name: &str, arguments: &[Option<&Expr>]) -> Result<(), Error> {
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
            kind => {
                return Err(Error::new(
                    ErrorKind::SyntaxError,
                    format!("a literal of type {kind}"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn literal(&mut self, text: &str) {
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
    matches!(
        (left, right),
        (Add | Sub, Add | Sub) | (Concat, Concat) | (ScAnd, ScAnd) | (ScOr, ScOr)
    )
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
