//! `@m[k] = count()` and its kind.

use pfscript_grammar::{Span, ast};

use super::maps::{Value, lhist_steps};
use super::program::StmtKind;
use super::types::{INT64, Type};
use super::{Checked, Checker};
use crate::catalog::codes;
use crate::catalog::functions::{self, Aggregation, FunctionKind, FunctionRow};
use crate::manifest::MapValue;

/// The most buckets of a linear histogram.
const MAX_BUCKETS: u64 = 1000;

impl Checker<'_> {
    /// `@m[k] = count()` and its kind; none when the call is not an aggregation.
    pub(super) fn aggregate(
        &mut self,
        element: &ast::MapElement,
        callee: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Checked<Option<StmtKind>> {
        let Some(FunctionRow { kind: FunctionKind::Aggregate(aggregation), .. }) = functions::find(&callee.name) else {
            return Ok(None);
        };
        self.function(callee, args, span)?;
        let value = match args.first() {
            Some(value) => self.int_expr(&value.value),
            None => Ok(super::expr::int(1, INT64, span)),
        };
        if value.is_err() && !self.is_settled {
            // It may be the map itself that the value is not known for.
            let supposed = self.aggregation(*aggregation, &INT64, args, span)?;
            self.suppose_value(element, supposed);
        }
        let value = match value {
            Ok(value) => value,
            // The place may have its errors too, and tell what the value is not known for.
            Err(reported) => return self.element(element).and(Err(reported)),
        };
        let map_value = self.aggregation(*aggregation, &value.ty, args, span)?;
        // Before the key, which may hold an element of this very map.
        let map = self.map_named(&element.map);
        self.learn_value(map, Value::Aggregate(map_value), span)?;
        let element = self.element(element)?;
        Ok(Some(StmtKind::Aggregate { element, value }))
    }

    fn aggregation(&mut self, aggregation: Aggregation, ty: &Type, args: &[ast::Arg], span: Span) -> Checked<MapValue> {
        let signed = !ty.is_uint64();
        Ok(match aggregation {
            Aggregation::Count => MapValue::Count,
            Aggregation::Sum => MapValue::Sum { signed },
            Aggregation::Min => MapValue::Min { signed },
            Aggregation::Max => MapValue::Max { signed },
            Aggregation::Avg => MapValue::Avg { signed },
            Aggregation::Stats => MapValue::Stats { signed },
            Aggregation::Hist => MapValue::Hist,
            Aggregation::Lhist => {
                let min = self.constant_expr(&args[1].value, "the lower end")?;
                let max = self.constant_expr(&args[2].value, "the upper end")?;
                let step = self.positive_constant(&args[3].value, "the step of lhist")?;
                if min >= max {
                    return self.error(codes::NOT_POSITIVE, span, format!("the range {min} to {max} is empty"));
                }
                if lhist_steps(min, max, step) > MAX_BUCKETS {
                    let message = format!("a linear histogram has at most {MAX_BUCKETS} buckets");
                    return self.error(codes::TOO_LONG, span, message);
                }
                MapValue::Lhist { min, max, step }
            }
        })
    }
}
