"""What stands between the Docker Engine and those who ask it: only what each needs gets through.

Whoever may speak to the Engine is root on the machine. So one container has its socket, and gives two others away: one
to look (the exporter), one to look and act (the self-monitor). What is not listed in `policy` is refused; of what the
Engine answers only what is listed in `filters` is passed on, so that no environment, command or label of a container,
where secrets may stand, reaches anybody.

A request is read as a whole, checked, and written anew: nothing that a client wrote reaches the Engine as it is. One
connection carries one request.
"""
