"""The exporter's web server: `create_app` makes the application, `Server` serves it, `load_web_config` secures it.

A page is one new file in `routes/`.
"""

from vv_exporter.web.app import App, create_app
from vv_exporter.web.config import WebConfig, WebConfigError, load_web_config
from vv_exporter.web.server import ListenError, Server

__all__ = ["App", "ListenError", "Server", "WebConfig", "WebConfigError", "create_app", "load_web_config"]
