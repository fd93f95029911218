"""Text that means something to those who pass it on: it must arrive as it is, and do nothing."""

HOSTILE = {
    "template braces": '{{ .ExternalURL }} {{ template "x" }} {{ end }} {{/* {{`',
    "Slack's pings": "<!channel> <!here> <@U012AB> @channel <https://evil.example|Runbook> &lt;!channel&gt;",
    "HTML": '<script>alert(1)</script><a href="https://evil.example">x</a> <b>bold & &amp; &nope; &#x41;',
    "a number in YAML": "0123",
    "a boolean in YAML": "yes",
    "null in YAML": "~",
    "a map in YAML": "error at line 3:\n  more: here",
    "a list in YAML": "- one\n- {{ two }}",
    "a YAML anchor and tag": "&a !!python/object:os.system [*a]",
    "YAML quotes": "\"{{ 'x' }}\"",
    "Markdown": "*bold* _it_ ~no~ `code` ```block``` [x](https://evil.example) > quote",
    "backslashes and dollars": r"C:\new\table $1 ${HOME} %s %d %.500s $(id) `id`",
    "right to left": "ملف الفيديو \u202egpj.exe\u202c שלום",
    "emoji": "📹🎥 👩‍👩‍👧‍👦 e\u0301",
}
