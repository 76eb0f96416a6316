"""What the report says about figures and scores: how to read them, in plain sentences."""

from collections.abc import Callable, Mapping
from typing import Any

from latens.report.elements import number
from latens.report.story import Story

__all__ = ["GROUP_TITLES", "MEANINGS", "alt_and_caption"]

GROUP_TITLES = {
    "reconstruction": "Reconstruction: how well are unseen pictures rebuilt?",
    "representation": "Representation: what do the latents know about the classes?",
    "map": "Maps: how far can the map be trusted?",
    "generation": "Generation: are decoded samples like real pictures?",
    "continuity": "Continuity: what lies between the latents?",
    "notes": "What was left out",
}

MEANINGS = {
    "mse": "Mean squared error of the test pictures, pixels from 0 to 1.",
    "mse_clamped": "The same after cutting the output to the range from 0 to 1.",
    "psnr": "Peak signal-to-noise ratio, the mean over the pictures.",
    "ssim": "Structural similarity to the original; 1 is identical.",
    "pca_mse": "What PCA reaches with as many numbers a picture: the best that a linear autoencoder can do.",
    "pca_ratio": "The error as a share of the error of PCA; below 1 beats it.",
    "knn_accuracy": "Share of test pictures whose class the 5 nearest train latents tell.",
    "linear_accuracy": "Share of test pictures whose class a straight cut through latent space tells.",
    "cluster_accuracy": "Share of pictures in the right group when k-means groups them without knowing labels.",
    "nmi": "Normalised mutual information of k-means groups and classes; 1 is full agreement.",
    "ari": "Adjusted Rand index of k-means groups and classes; 0 is chance, 1 full agreement.",
    "active_units": "Latent numbers that vary over the test part at all (variance above 0.01).",
    "effective_rank": "How many directions of latent space are in use, weighted by how much.",
    "zero_fraction": "Share of zeros among the latent numbers.",
    "trustworthiness": "Do neighbours on the map come from the neighbourhood in latent space? 1 is yes, always.",
    "neighbour_recall": "Share of the 10 nearest in latent space that are among the 10 nearest on the map.",
    "map_knn_accuracy": "Share of pictures whose class the nearest neighbours on the map tell.",
    "frechet": "Fréchet distance (FD) of the samples to the test pictures, in features.",
    "kid": "Kernel distance of the samples to the test pictures, in features; about 0 where they are alike.",
    "precision": "Share of samples that lie among real pictures.",
    "recall": "Share of real pictures that lie among samples.",
    "density": "In how many real neighbourhoods a sample lies, as a multiple of what is expected; robust precision.",
    "coverage": "Share of real pictures with a sample in their neighbourhood; robust recall.",
    "memorised": "Share of samples that are nearer to a train picture than nearly all test pictures are.",
    "three_sample": "About 0 where samples are as far from train pictures as test pictures are; below -3 they are copies,"
    " far above they are unlike any.",
    "class_agreement": "Share of samples that show the class that they were asked for.",
    "floor": "The Fréchet distance of real train pictures: the best that samples can do.",
    "kid_floor": "The kernel distance of real train pictures: the best that samples can do.",
    "reconstruction_fd": "The Fréchet distance of reconstructions: what the decoder alone costs.",
    "reconstruction_kid": "The kernel distance of reconstructions: what the decoder alone costs.",
    "path_realism": "Share of points halfway between two pictures' latents that look real.",
    "path_realism_within": "Share of points halfway between two latents of a class that look real.",
    "path_realism_between": "Share of points halfway between latents of different classes that look real.",
    "path_smoothness": "The largest step of a path as a multiple of the mean one; 1 is even, 10 a single jump.",
    "path_smoothness_within": "The largest step of a path within a class, as a multiple of the mean; 1 is even, 10 a jump.",
    "path_smoothness_between": "The same from one class to another.",
    "round_trip_data": "How far a latent of real pictures moves when it is decoded and encoded again.",
    "round_trip_midpoints": "The same of midpoints between latents.",
    "round_trip_samples": "The same of the sampler's latents.",
    "holes": "Share of the sampler's latents that are farther from the data than data are from each other.",
    "hidden_unclear": "Share of probe points that the map shows among their class while their pictures look like no real one.",
    "hidden_holes": "Share of probe points that the map shows among their class while their latents lie in holes.",
}

Words = tuple[str, str]


def alt_and_caption(name: str, story: Story) -> Words:
    """The alternative text of a figure, and its caption. A figure of an unknown name gets its name."""
    if name.startswith("map-"):
        return _map(story, name.removeprefix("map-"))
    if name in _WORDS:
        return _WORDS[name](story)
    plain = name.replace("-", " ").replace("_", " ")
    return f"Figure: {plain}", plain[:1].upper() + plain[1:]


def _kind(story: Story) -> str:
    return "cluster" if story.probe is not None and story.probe.clusters else "class"


def _contact_sheet(story: Story) -> Words:
    return (
        f"A grid of pictures from {story.data.name}.",
        "A sample of the pictures, as the network sees them.",
    )


def _network(story: Story) -> Words:
    steps = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in story.network.shapes)
    alt = f"The network as a row of boxes, narrowest in the middle. {steps}." if steps else "The network, as boxes."
    return alt, (
        "Each box is one stage: as high as the picture is large there, wider the more channels it has."
        " Below it the step that leads to it, and the shape (channels × height × width) that comes out."
        f" The latent in the middle, {story.network.latent_dim} numbers, is all that the decoder gets to see."
    )


def _last_of(story: Story) -> Mapping[str, Any]:
    """The last line of the history; empty where there is none."""
    history = story.training.history if story.training is not None else ()
    return history[-1] if history else {}


def _loss(story: Story) -> Words:
    last = _last_of(story).get("train_loss")
    return (
        f"Curve of the training loss over the last epochs, red dashed with a dot an epoch; it ends at {number(last)}.",
        "The training loss of the last epochs (30 at most), as the notebook draws it. Lower is better.",
    )


def _loss_all(story: Story) -> Words:
    last = _last_of(story)
    trained = last.get("train_mse", last.get("train_loss"))  # which in the first runs was the same
    alt = f"Curves over all epochs; the error in training ends at {number(trained)}"
    tested = last.get("test_mse") is not None
    alt += f", the test error at {number(last.get('test_mse'))}." if tested else "."
    return alt, (
        (
            "Squared error in training and in test over all epochs."
            if tested
            else "Squared error in training over all epochs."
        )
        + (
            " Where the test error stays up while that in training goes on falling, the network learns"
            " its pictures by heart rather than what they have in common."
            if tested
            else ""
        )
    )


def _reconstructions(story: Story) -> Words:
    return (
        "Pairs of pictures: left the original from the test part, right its reconstruction.",
        "Pictures from the test part, which the network never saw in training. In each pair the original is on the left,"
        " what the decoder makes of its latent on the right. Look for what is lost: thin strokes, texture, odd shapes.",
    )


def _worst(story: Story) -> Words:
    worst = f" The worst is {story.worst[0][0]}, at {number(story.worst[0][1])}." if story.worst else ""
    return (
        f"The test pictures with the largest error, each beside its reconstruction.{worst}",
        "The pictures that are rebuilt worst, worst first, with their name and mean squared error."
        " Rare, crowded or damaged pictures gather here.",
    )


def _review(story: Story) -> Words:
    return (
        "Pictures that are far from all others, pairs of near-duplicates, and pictures with doubtful labels, each with its name.",
        "What a person should look at, the most striking first: pictures that are far from all others, near-duplicates side"
        " by side, and labels that the neighbours contradict, with the class that these have.",
    )


def _class_errors(story: Story) -> Words:
    return (
        "Bars of the mean squared error of each class, largest on top.",
        "The error class by class. A class with much ink or fine detail has more to lose than a plain one.",
    )


def _map(story: Story, name: str = "") -> Words:
    coloured = ", coloured by class" if story.data.class_names else ""
    kinds = {
        "pca": "PCA, the flat view along the two widest directions",
        "tsne": "t-SNE, which keeps neighbours together",
    }
    how = f" Drawn by {kinds.get(name, name)}." if name else ""
    trust = story.score("trustworthiness")
    alt = f"Scatter plot of the {story.mapped} latents in two dimensions{coloured}.{how}"
    if trust is not None and name in ("", "tsne"):
        alt += f" Trustworthiness {number(trust.value)}."
    return alt, (
        f"Each dot is a picture of the {story.mapped} part, placed where the map puts its latent{coloured}.{how}"
        " Dots close together are pictures that the encoder finds alike."
        " The numbers below the map say how far its neighbourhoods can be trusted;"
        " the axes themselves have no meaning, and neither has the empty space between clusters of a t-SNE."
    )


def _probe(story: Story) -> Words:
    noise = number(story.probe.noise_std) if story.probe else "1"
    return (
        f"One decoded picture a {_kind(story)}, from its mean latent plus noise of standard deviation {noise}.",
        f"One picture a {_kind(story)}: the mean of its latents, plus normal noise of standard deviation {noise}, decoded.",
    )


def _probe_noises(story: Story) -> Words:
    return (
        f"Rows of decoded pictures, one a {_kind(story)}, with more noise added to the latent from row to row.",
        "The same with more noise from row to row. Without noise an average is decoded, which often is a blurred picture."
        " With noise the latent leaves the places where training put pictures; how much the result suffers shows how little"
        " room there is around them.",
    )


def _probe_map(story: Story) -> Words:
    return (
        f"The map of the {story.mapped} latents with one black dot a {_kind(story)} for the probe, each with its distance.",
        "The map with the probe's latents in black. The number beside each is its distance, in the full latent space, to the"
        " nearest latent of the data, as a multiple of what is usual there. A dot can lie in the midst of"
        " its cluster on paper and far from all data in latent space: two dimensions cannot show it.",
    )


def _samples(story: Story) -> Words:
    return (
        "A grid of pictures decoded from new latents.",
        "Pictures that are in no data set: new latents, drawn by a sampler, and decoded.",
    )


def _path(story: Story) -> Words:
    return (
        "Rows of decoded pictures from one test picture to another: along a straight line, along an arc, and by way of real"
        " latents; the originals at both ends.",
        "From one test picture to another, straight through latent space, along an arc about zero, and along the shortest chain"
        " of real latents that are neighbours. Where the straight way shows two pictures at once, or smears, while the chain"
        " shows good ones, the decoder is able and the space between is empty. Small pictures: the real ones on the chain.",
    )


def _traversals(story: Story) -> Words:
    return (
        "Rows of decoded pictures, one a principal direction of the latents, from three standard deviations below the mean to"
        " three above.",
        "The directions in which latents vary most, largest first, each followed to both sides of the mean latent. What changes"
        " along a row is what that direction stands for. The mean itself, and most of these places, are no picture's.",
    )


def _arithmetic(story: Story) -> Words:
    return (
        "A sum of pictures: one, less the mean of its class, plus the mean of another; the decoded result, and the real picture"
        " nearest to it.",
        "One picture, less the mean latent of its class, plus that of another class. If class and manner were kept apart in the"
        " latent, the result would be the other class in the manner of the first picture. Beside it the real picture whose"
        " latent is nearest.",
    )


_WORDS: dict[str, Callable[[Story], Words]] = {
    "contact-sheet": _contact_sheet,
    "network": _network,
    "loss": _loss,
    "loss-all": _loss_all,
    "reconstructions": _reconstructions,
    "worst": _worst,
    "review": _review,
    "class-errors": _class_errors,
    "map": _map,
    "probe": _probe,
    "probe-noise": _probe_noises,
    "probe-map": _probe_map,
    "samples": _samples,
    "path": _path,
    "traversals": _traversals,
    "arithmetic": _arithmetic,
}
