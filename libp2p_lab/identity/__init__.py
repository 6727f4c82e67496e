"""Who is a peer, and where can it be reached?"""
