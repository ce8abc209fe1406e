//! Script parameters: their declarations, and the constants that they are in this compilation.

use pfscript_grammar::{Diagnostic, Span, ast, walk};

use super::types::{INT64, Type, UINT64};
use crate::artifact::Options;
use crate::catalog::functions::{self, FunctionKind};
use crate::catalog::{builtins, codes, nearest};
use crate::params::{ParamSpec, ParamType, ParamValue};

/// The parameters that `script` declares, for the command line.
///
/// # Errors
/// What is wrong with the declarations.
pub fn declared_params(script: &ast::Script) -> Result<Vec<ParamSpec>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let declared = declarations(script);
    for (at, param) in declared.iter().enumerate() {
        if let Some(earlier) = declared[..at].iter().find(|earlier| earlier.name.name == param.name.name) {
            diagnostics.push(declared_twice(&param.name, earlier.name.span));
        }
    }
    let specs = declared.iter().filter_map(|param| spec(param, &mut diagnostics)).map(|(spec, _)| spec).collect();
    if diagnostics.is_empty() { Ok(specs) } else { Err(diagnostics) }
}

/// The parameters with their values in this compilation.
#[derive(Debug, Default)]
pub struct ParamTable {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    span: Span,
    ty: Type,
    value: ParamValue,
    is_used: bool,
}

impl ParamTable {
    /// Takes the declarations of `script` and the values given in `options`.
    pub fn declare(&mut self, script: &ast::Script, options: &Options, diagnostics: &mut Vec<Diagnostic>) {
        for param in &declarations(script) {
            let Some((spec, ty)) = spec(param, diagnostics) else { continue };
            if let Some(earlier) = self.entries.iter().find(|entry| entry.name == spec.name) {
                diagnostics.push(declared_twice(&param.name, earlier.span));
                continue;
            }
            let given = options.params.iter().find(|(name, _)| *name == spec.name).map(|(_, value)| value.clone());
            let value = given.or(spec.default).unwrap_or_else(|| {
                let message = format!("parameter `{}` has no default, and no value was given", spec.name);
                let diagnostic = Diagnostic::error(codes::PARAM_MISSING, param.name.span, message);
                diagnostics.push(diagnostic.help(format!("give it with `--{} VALUE`", spec.name)));
                ParamValue::Int(1)
            });
            self.entries.push(Entry { name: spec.name, span: param.name.span, ty, value, is_used: false });
        }
    }

    /// The parameter of that name: its type and value.
    pub fn find(&mut self, name: &str) -> Option<(Type, ParamValue)> {
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.is_used = true;
        Some((entry.ty.clone(), entry.value.clone()))
    }

    /// All names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The parameters that nothing asked for.
    pub fn unused(&self) -> Vec<(String, Span)> {
        self.entries.iter().filter(|entry| !entry.is_used).map(|entry| (entry.name.clone(), entry.span)).collect()
    }
}

fn declared_twice(name: &ast::Ident, earlier: Span) -> Diagnostic {
    let message = format!("parameter `{}` is declared twice", name.name);
    Diagnostic::error(codes::NAME_TAKEN, name.span, message)
        .also(earlier, "first declared here")
        .help("give one of them another name")
}

/// The declared parameters, and those that calls of `getopt("name", default, "help")` declare;
/// several calls with one name are one parameter.
fn declarations(script: &ast::Script) -> Vec<ast::Param> {
    let mut params: Vec<ast::Param> = script.params().cloned().collect();
    walk::for_each_expr(script, &mut |expr| {
        if let Some(param) = of_getopt(expr)
            && !params.iter().any(|known| known.name.name == param.name.name)
        {
            params.push(param);
        }
    });
    params
}

/// The parameter that a call of `getopt` declares; what is wrong with the call is said where it
/// is checked.
fn of_getopt(expr: &ast::Expr) -> Option<ast::Param> {
    let ast::ExprKind::Call { callee, args } = &expr.kind else { return None };
    if functions::find(&callee.name)?.kind != FunctionKind::Getopt {
        return None;
    }
    let ast::ExprKind::Str(name) = &args.first()?.value.kind else { return None };
    let help = args.get(2).and_then(|help| match &help.value.kind {
        ast::ExprKind::Str(text) => Some(text.clone()),
        _ => None,
    });
    let default = args.get(1).map(|default| default.value.clone());
    let name = ast::Ident { name: name.clone(), span: args[0].value.span };
    Some(ast::Param { name, ty: None, default, range: None, help, span: expr.span })
}

fn spec(param: &ast::Param, diagnostics: &mut Vec<Diagnostic>) -> Option<(ParamSpec, Type)> {
    match declaration(param) {
        Ok(declared) => Some(declared),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    }
}

type Declared<T> = Result<T, Box<Diagnostic>>;

/// The written type; without one, that of a default of `true` or `false`.
fn written_type(param: &ast::Param) -> Option<ast::TypeName> {
    let of_default = || match param.default.as_ref()? {
        ast::Expr { kind: ast::ExprKind::Name(name), span } if name == "true" || name == "false" => {
            Some(ast::TypeName { name: "bool".into(), is_struct: false, length: None, pointers: 0, span: *span })
        }
        _ => None,
    };
    param.ty.clone().or_else(of_default)
}

fn declaration(param: &ast::Param) -> Declared<(ParamSpec, Type)> {
    let param = &ast::Param { ty: written_type(param), ..param.clone() };
    let name = &param.name.name;
    if builtins::find(name).is_some() || name == "args" {
        let message = format!("`{name}` is a builtin and cannot be the name of a parameter");
        return Err(Box::new(Diagnostic::error(codes::NAME_TAKEN, param.name.span, message)));
    }
    let default = param.default.as_ref().map(literal).transpose()?;
    let ty = declared_type(param, default.as_ref())?;
    let param_type = with_range(param, &ty)?;
    let spec = ParamSpec { name: name.clone(), ty: param_type, default, help: param.help.clone().unwrap_or_default() };
    if let (Some(ParamValue::Int(value)), ParamType::Int { low, high, .. }, Some(at)) =
        (&spec.default, &spec.ty, &param.default)
        && !(low..=high).contains(&value)
    {
        let message = format!("the default {value} is outside the range {low} to {high}");
        return Err(Box::new(Diagnostic::error(codes::PARAM_DECLARATION, at.span, message)));
    }
    Ok((spec, ty))
}

fn declared_type(param: &ast::Param, default: Option<&ParamValue>) -> Declared<Type> {
    let of_default = match default {
        Some(ParamValue::Int(value)) if *value > i128::from(i64::MAX) => UINT64,
        Some(ParamValue::Str(text)) => Type::Str { len: text_len(text) },
        _ => INT64,
    };
    let Some(written) = &param.ty else { return Ok(of_default) };
    let ty = match Type::int_named(&written.name) {
        Some(ty) if written.pointers == 0 && !written.is_struct => ty,
        _ if written.name == "string" => Type::Str { len: 0 },
        _ => {
            let mut diagnostic =
                Diagnostic::error(codes::UNKNOWN_TYPE, written.span, format!("no type is called `{}`", written.name));
            let known = Type::INT_NAMES.iter().copied().chain(["string"]);
            diagnostic = match nearest(&written.name, known.clone()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("the types are {}", known.collect::<Vec<_>>().join(", "))),
            };
            return Err(Box::new(diagnostic));
        }
    };
    match (&ty, default) {
        (Type::Int { .. }, Some(ParamValue::Str(_))) | (Type::Str { .. }, Some(ParamValue::Int(_))) => {
            let at = param.default.as_ref().map_or(param.span, |default| default.span);
            let message = format!("the default is not of the declared type {}", written.name);
            Err(Box::new(Diagnostic::error(codes::PARAM_DECLARATION, at, message).also(written.span, "declared here")))
        }
        _ => Ok(ty),
    }
}

fn with_range(param: &ast::Param, ty: &Type) -> Declared<ParamType> {
    let Type::Int { bytes, signed } = ty else {
        return match &param.range {
            None => Ok(ParamType::Str),
            Some(range) => {
                let message = "only an integer can have a range";
                Err(Box::new(Diagnostic::error(codes::PARAM_DECLARATION, range.span, message)))
            }
        };
    };
    if param.ty.as_ref().is_some_and(|written| written.name == "bool") {
        return Ok(ParamType::Bool);
    }
    let bits = u32::from(*bytes) * 8;
    let (type_low, type_high) = match signed {
        true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        false => (0, (1i128 << bits) - 1),
    };
    let bound = |end: Option<&ast::Expr>, otherwise: i128| match end.map(literal).transpose()? {
        None => Ok(otherwise),
        Some(ParamValue::Int(value)) => Ok(value),
        Some(ParamValue::Str(_)) => {
            let at = end.map_or(param.span, |end| end.span);
            Err(Box::new(Diagnostic::error(codes::PARAM_DECLARATION, at, "an end of a range is an integer")))
        }
    };
    let range = param.range.as_ref();
    let low = bound(range.and_then(|range| range.low.as_ref()), type_low)?.max(type_low);
    let high = bound(range.and_then(|range| range.high.as_ref()), type_high)?.min(type_high);
    if let Some(range) = range.filter(|_| low > high) {
        let message = format!("the range is empty: no {ty} lies in it");
        return Err(Box::new(Diagnostic::error(codes::PARAM_DECLARATION, range.span, message)));
    }
    let name = Type::INT_NAMES.iter().copied().find(|name| *name == ty.to_string()).unwrap_or("int64");
    Ok(ParamType::Int { name, low, high, ranged: range.is_some() })
}

/// A literal, possibly with a sign.
fn literal(expr: &ast::Expr) -> Declared<ParamValue> {
    match &expr.kind {
        ast::ExprKind::Int(value) => Ok(ParamValue::Int(i128::from(*value))),
        ast::ExprKind::Str(text) => Ok(ParamValue::Str(text.clone())),
        ast::ExprKind::Name(name) if name == "true" || name == "false" => Ok(ParamValue::Int((name == "true").into())),
        ast::ExprKind::Unary { op: ast::UnaryOp::Neg, operand } => match literal(operand)? {
            ParamValue::Int(value) => Ok(ParamValue::Int(-value)),
            ParamValue::Str(_) => Err(not_a_literal(expr)),
        },
        _ => Err(not_a_literal(expr)),
    }
}

fn not_a_literal(expr: &ast::Expr) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(codes::NOT_CONSTANT, expr.span, "a parameter's default and range are literals"))
}

/// Bytes that a text takes in memory: with its NUL, a multiple of 8.
pub fn text_len(text: &str) -> u32 {
    (text.len() as u32 + 1).next_multiple_of(8)
}
