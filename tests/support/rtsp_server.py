"""GStreamer's RTSP server with one camera at /live: run by Debian's Python, see `tests.support.rtsp`.

Takes its settings as a JSON object in the first line of standard input, prints its port, and then obeys a word a line:
`freeze` (sessions stay, no further frame comes), `thaw`, `sessions` (how many?). It ends with its standard input.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CAMERA = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=10/1 ! valve name=valve ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
METHODS = {"digest": GstRtsp.RTSPAuthMethod.DIGEST, "basic": GstRtsp.RTSPAuthMethod.BASIC}


class Camera:
    """A stream that is kept running, whether somebody watches or not, so that it can be frozen and thawed."""

    def __init__(self, server: GstRtspServer.RTSPServer) -> None:
        self.factory = GstRtspServer.RTSPMediaFactory()
        self.factory.set_launch(CAMERA)
        self.factory.set_shared(True)
        self.factory.connect("media-configure", self._configured)
        server.get_mount_points().add_factory("/live", self.factory)
        self._media: GstRtspServer.RTSPMedia | None = None
        self._threads = server.get_thread_pool()

    def _configured(self, _: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        self._media = media

    def start(self, port: int) -> None:
        """Prepare the media as a client would that never leaves; it is shared by those with the same address."""
        _, url = GstRtsp.RTSPUrl.parse(f"rtsp://127.0.0.1:{port}/live")
        media = self.factory.construct(url)
        media.prepare(self._threads.get_thread(GstRtspServer.RTSPThreadType.MEDIA, GstRtspServer.RTSPContext()))

    def freeze(self, frozen: bool) -> None:
        """Let no frame through, or all again."""
        assert self._media is not None
        self._media.get_element().get_by_name("valve").set_property("drop", frozen)


def protect(server: GstRtspServer.RTSPServer, camera: Camera, method: str, user: str, password: str) -> None:
    """Demand a password for the camera."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(METHODS[method])
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if method == "digest":
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    camera.factory.set_permissions(permissions)
    server.set_auth(auth)


def main() -> None:
    """Serve until standard input ends."""
    settings = json.loads(sys.stdin.readline())
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(settings["port"]))
    camera = Camera(server)
    if settings["method"]:
        protect(server, camera, settings["method"], settings["user"], settings["password"])
    server.attach(None)
    camera.start(server.get_bound_port())
    print(server.get_bound_port(), flush=True)

    def obey(*_: object) -> bool:
        order = sys.stdin.readline().strip()
        if not order:
            loop.quit()
            return False
        if order == "sessions":
            print(server.get_session_pool().get_n_sessions(), flush=True)
        else:
            camera.freeze(order == "freeze")
            print("done", flush=True)
        return True

    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, obey)
    loop.run()


if __name__ == "__main__":
    main()
