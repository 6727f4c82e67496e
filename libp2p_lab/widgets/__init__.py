"""What is going on? Widgets that draw it from the trace.

    NetworkMap(peers)      peers, connections, and what moves between them
    WireLens(peer)         the messages of a connection, opened layer by layer down to the bytes
    KeyLab()               from a key to a peer id, byte by byte
    StackBuilder(peer)     the layers of a peer as tiles; take one out and see what fails

Where there is no front end (a notebook run headless, a page of documentation) each shows a plain
table instead.
"""
