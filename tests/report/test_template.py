"""What the templates of pages do with a sentence."""

from __future__ import annotations

from leukosr.report.template import with_code


def test_what_stands_between_backticks_is_code_and_all_else_is_text() -> None:
    assert with_code("by `leukosr compare --images '*<a>*'` & `dvc repro`") == (
        "by <code>leukosr compare --images &#39;*&lt;a&gt;*&#39;</code> &amp; <code>dvc repro</code>"
    )
    assert with_code("one ` alone <b>") == "one ` alone &lt;b&gt;"
