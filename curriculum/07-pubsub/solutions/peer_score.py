"""E7.5, the reference answer: the library's score, with numbers for this topic."""

from libp2p_lab.pubsub import PeerScore, ScoreParameters, TopicScoreParameters


def my_score():
    """One peer's score of the others."""
    harbour = TopicScoreParameters(
        mesh_message_deliveries_weight=-1.0,  # P3: a member that passes on nothing
        mesh_message_deliveries_threshold=1.0,  # honest members deliver two and more a second
        mesh_message_deliveries_cap=50.0,
        mesh_message_deliveries_activation=4.0,
        mesh_message_deliveries_decay=0.7,
        invalid_message_deliveries_weight=-1.0,  # P4: squared, so that one mistake costs little
    )
    return PeerScore(
        ScoreParameters(
            topics={"harbour": harbour},
            ip_colocation_threshold=2,  # P6: two may share a flat
            behaviour_penalty_threshold=2.0,  # P7: broken promises
            behaviour_penalty_decay=0.97,  # and they are not forgotten at once
        )
    )


answer = my_score
